"""The faults that the package survives: what must happen, the protection that is removed, and the test that notices.

``nox -s mutations`` removes each protection and writes ``docs/faults.md``.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A protection that is removed from a file, and the test that must fail then."""

    file: str
    protection: str
    instead: str
    test: str


class Fault(NamedTuple):
    """A fault, and what must happen."""

    number: int
    fault: str
    happens: str
    mutations: tuple[Mutation, ...]


P = "brainscore_itmaps/"
DOWNLOADS, ARCHIVES, FILES, SAVED = f"{P}downloads.py", f"{P}archives.py", f"{P}files.py", f"{P}benchmark/saved.py"
CACHE, READER, CHECKPOINT = f"{P}cache.py", f"{P}hdf5_reader.py", f"{P}training/checkpoint.py"
T_RESULT, T_HDF5, T_CACHE = "tests/benchmark/test_result.py::", "tests/test_hdf5.py::", "tests/test_cache.py::"
T_ARCHIVES, T_DOWNLOADS, T_SOURCES = (
    "tests/test_archives.py::",
    "tests/test_downloads.py::",
    "tests/data/test_sources.py::",
)
T_ARCARO, T_FAULTS, T_TEXT = (
    "tests/data/test_arcaro2020.py::",
    "tests/test_faults.py::",
    "tests/test_untrusted_text.py::",
)
T_RUN = "tests/training/test_harmonize.py::"

FAULTS = (
    Fault(
        1,
        "the server drops the connection",
        "three attempts, then an error with the address and the number of bytes; no file is left",
        (
            Mutation(
                DOWNLOADS,
                "retry_if_failed=TRIES - 1",
                "retry_if_failed=0",
                f"{T_DOWNLOADS}test_a_connection_that_breaks_twice_is_retried",
            ),
        ),
    ),
    Fault(
        2,
        "the server answers 404, 500 or a web page",
        "an error names the address; nothing is stored",
        (
            Mutation(
                DOWNLOADS,
                "    except requests.HTTPError as error:\n",
                "    except ZeroDivisionError as error:\n",
                f"{T_DOWNLOADS}test_a_file_missing_on_the_server_is_an_error",
            ),
        ),
    ),
    Fault(
        3,
        "a downloaded file has another checksum",
        "the file is refused and removed; the error states the next step",
        (
            Mutation(
                DOWNLOADS,
                "registry={path.name: sha256}",
                "registry={path.name: None}",
                f"{T_DOWNLOADS}test_a_file_with_another_hash_is_refused_and_removed",
            ),
        ),
    ),
    Fault(
        4,
        "a downloaded file is changed later",
        "noticed on use: downloaded again or, offline, refused",
        (
            Mutation(
                f"{P}pinned.py",
                "(current.st_mtime_ns == changed or hash_of(file) == sha256)",
                "True",
                f"{T_SOURCES}test_a_changed_archive_is_downloaded_again_or_refused_offline",
            ),
        ),
    ),
    Fault(
        5,
        "an archive is truncated, or a bit in it flips",
        "an error; the folder is not created",
        (
            Mutation(
                ARCHIVES,
                "    if total != member.file_size:\n",
                "    if False:\n",
                f"{T_ARCHIVES}test_a_member_that_ends_before_its_declared_size_is_damaged",
            ),
        ),
    ),
    Fault(
        6,
        "an archive member has a path outside the folder, or is a link",
        "refused by name; nothing is written",
        (
            Mutation(
                ARCHIVES,
                '    if ".." in parts:\n        raise _refused(archive, \'its path contains ".."\', member.orig_filename)\n'
                '    if not parts or any(part.strip(" .") == "" or',
                "    if not parts or any(",
                f"{T_ARCHIVES}test_a_member_outside_the_folder_is_refused_by_name_before_anything_is_written",
            ),
        ),
    ),
    Fault(
        7,
        "an archive or an NPZ unpacks to far more than its size",
        "refused by its declared size and by its actual size",
        (
            Mutation(
                ARCHIVES,
                "member.file_size > SMALL_BYTES and member.file_size > RATIO * max(member.compress_size, 1)",
                "False",
                f"{T_ARCHIVES}test_a_gigabyte_of_zeros_is_refused_by_its_declared_size",
            ),
            Mutation(
                f"{P}npz.py",
                "            if total > max(SMALL, RATIO * size):\n",
                "            if False:\n",
                "tests/test_files.py::test_arrays_that_unpack_to_far_more_than_their_file_are_refused",
            ),
        ),
    ),
    Fault(
        8,
        "unpacking is killed",
        "the next run removes the remains and unpacks again",
        (
            Mutation(
                FILES,
                "            temporary = private / folder.name  # has",
                "            temporary = folder  # has",
                f"{T_ARCHIVES}test_killed_unpacking_leaves_no_folder_and_the_next_call_unpacks_again",
            ),
            Mutation(
                FILES,
                "            shutil.rmtree(folder, ignore_errors=True)\n",
                "            pass\n",
                "tests/test_files.py::test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_a_running_one",
            ),
        ),
    ),
    Fault(
        9,
        "a MATLAB file is damaged, or lacks a variable",
        "an error names the file and the variable",
        (
            Mutation(
                f"{P}data/matfiles.py",
                "    except DAMAGED as error:\n        item",
                "    except ZeroDivisionError as error:\n        item",
                f"{T_ARCARO}test_damaged_files_are_refused_by_name",
            ),
        ),
    ),
    Fault(
        10,
        "maps have another shape, 13 images or swapped axes",
        "an error states the actual and the expected shape",
        (
            Mutation(
                f"{P}data/arcaro2020.py",
                "not 1 <= shape[2] <= LONGEST or shape[3:] != (array.channels, IMAGES)",
                "not 1 <= shape[2] <= LONGEST",
                f"{T_ARCARO}test_files_of_another_form_are_refused_with_actual_and_expected_content",
            ),
        ),
    ),
    Fault(
        11,
        "maps have NaN or infinite values",
        "refused, with the sites and images",
        (
            Mutation(
                f"{P}data/checks.py",
                "if broken.any():",
                "if False:",
                "tests/data/test_recording.py::test_values_that_are_not_finite_are_refused_by_site_and_image",
            ),
        ),
    ),
    Fault(
        12,
        "an image is missing or cannot be read, also in training",
        "an error names the file, or all missing files",
        (
            Mutation(
                f"{P}data/images.py",
                "    if missing := [name for name, match in zip(file_names, found, strict=True) if len(match) != 1]:\n",
                "    if missing := []:\n",
                f"{T_ARCARO}test_missing_images_are_listed_all_at_once",
            ),
            Mutation(
                f"{P}images.py",
                '    except DAMAGED as error:\n        raise DataError(f"The image {shown} cannot',
                '    except ZeroDivisionError as error:\n        raise DataError(f"The image {shown} cannot',
                f"{T_FAULTS}test_a_training_image_that_cannot_be_read_is_named",
            ),
        ),
    ),
    Fault(
        13,
        "images are in another order than the maps",
        "images and maps are matched by name",
        (
            Mutation(
                f"{P}data/images.py",
                "    return [files[name] for name in match_images(names, files, str(folder))]\n",
                "    return [files[name] for name in sorted(match_images(names, files, str(folder)))]\n",
                f"{T_ARCARO}test_images_are_found_by_the_last_part_of_their_names_in_the_order_of_the_maps",
            ),
        ),
    ),
    Fault(
        14,
        "a score is killed, then run again",
        "finished layers are not computed again; the files are the same, byte for byte",
        (
            Mutation(
                CACHE,
                "                self._write(keys[name], entry)\n",
                "                pass\n",
                f"{T_CACHE}test_a_run_that_is_killed_goes_on_where_it_was_and_writes_the_same_bytes",
            ),
        ),
    ),
    Fault(
        15,
        "Ctrl-C, also within HDF5 or while modules are imported",
        "one line of output, exit code 130, no partial files",
        (
            Mutation(
                f"{P}cli/start.py",
                "    signal.signal(signal.SIGINT, _interrupt)\n",
                "",
                "tests/cli/test_cli.py::test_control_c_ends_with_130_and_leaves_nothing_behind",
            ),
        ),
    ),
    Fault(
        16,
        "eight processes share a cache",
        "each result is right, and each layer is scored once",
        (
            Mutation(
                CACHE,
                "                stack.enter_context(locked(self.home",
                "                stack.enter_context(locked(self.home / str(__import__('os').getpid())",
                f"{T_CACHE}test_eight_processes_at_once_give_one_result_and_score_each_layer_once",
            ),
        ),
    ),
    Fault(
        17,
        "a process dies and leaves a lock",
        "the next process takes the lock over",
        (
            Mutation(
                FILES,
                '    lock = filelock.FileLock(folder / ".lock")\n',
                '    lock = filelock.SoftFileLock(folder / ".lock")\n',
                f"{T_SOURCES}test_the_lock_of_a_process_that_died_is_taken_over",
            ),
        ),
    ),
    Fault(
        18,
        "the disk is full",
        "an error states the free bytes; existing files are unchanged",
        (
            Mutation(
                FILES,
                "    except OSError as error:\n        raise cannot_write(path, error, fix) from error\n",
                "    except ZeroDivisionError as error:\n        raise cannot_write(path, error, fix) from error\n",
                "tests/test_files.py::test_an_error_leaves_the_older_file_and_nothing_else",
            ),
            Mutation(
                CHECKPOINT,
                "        except SafetensorError as error:  # the disk is full\n",
                "        except ZeroDivisionError as error:\n",
                f"{T_FAULTS}test_a_full_disk_while_a_checkpoint_is_written_keeps_the_ones_before",
            ),
        ),
    ),
    Fault(
        19,
        "the home folder of the package is read-only",
        "reading works; an error on writing names ITMAPS_HOME",
        (
            Mutation(
                FILES,
                '        raise InstallationError(f"Cannot write in {folder}: {error.strerror}.", fix) from error\n',
                '        raise InstallationError(f"Cannot write in {folder}: {error.strerror}.", "") from error\n',
                f"{T_SOURCES}test_a_read_only_home_can_be_read_and_says_how_to_write",
            ),
        ),
    ),
    Fault(
        20,
        "a model, benchmark or layer is unknown",
        "an error with the nearest names, before torch is imported",
        (
            Mutation(
                f"{P}bridge/names.py",
                'raise ModelError(f"There is no model named {model!r}.", nearest(model, [*ZOO, *external], accepted))',
                'raise ModelError(f"There is no model named {model!r}.", accepted)',
                "tests/cli/test_cli.py::test_is_answered_without_torch_or_brain_score_and_without_a_traceback",
            ),
        ),
    ),
    Fault(
        21,
        "a layer has no map: logits, pooled features, a tuple",
        "an error states the reason and the next step",
        (
            Mutation(
                f"{P}features/places.py",
                "SHOWN = 0.5",
                "SHOWN = -2.0",
                "tests/features/test_places.py::test_a_layer_without_visible_places_is_refused",
            ),
        ),
    ),
    Fault(
        22,
        "a GPU has too little memory",
        "the batch size is halved, down to 1 if needed; the features are the same",
        (
            Mutation(
                f"{P}features/record.py",
                "            except torch.OutOfMemoryError as error:\n                for parts",
                "            except ZeroDivisionError as error:\n                for parts",
                "tests/features/test_record_at_grid.py::test_memory_that_runs_out_halves_the_batch_and_changes_nothing_else",
            ),
        ),
    ),
    Fault(
        23,
        "a device does not exist",
        "an error of one sentence names it",
        (
            Mutation(
                f"{P}models/model.py",
                "    ) as error:  # no such device or driver\n        raise UsageError(",
                "    ) as error:\n        raise error\n        raise UsageError(",
                f"{T_FAULTS}test_a_device_that_is_not_there_is_named_once",
            ),
        ),
    ),
    Fault(
        24,
        "a checkpoint, or the state of a training run, contains code",
        "the code is not run",
        (
            Mutation(
                CHECKPOINT,
                'torch.load(folder / STATE, map_location="cpu", weights_only=True)',
                'torch.load(folder / STATE, map_location="cpu", weights_only=False)',
                f"{T_FAULTS}test_a_hostile_state_of_a_training_run_is_not_run",
            ),
            Mutation(
                f"{P}models/checkpoint.py",
                'torch.load(path, "cpu", weights_only=True)',
                'torch.load(path, "cpu", weights_only=False)',
                "tests/models/test_checkpoints.py::test_a_hostile_file_is_not_run",
            ),
        ),
    ),
    Fault(
        25,
        "a checkpoint belongs to another architecture",
        "an error lists missing and unexpected tensors",
        (
            Mutation(
                f"{P}models/checkpoint.py",
                "    if missing or unexpected or reshaped:\n",
                "    if False:\n",
                "tests/models/test_checkpoints.py::test_the_error_for_another_architecture_lists_missing_and_unexpected_tensors",
            ),
        ),
    ),
    Fault(
        26,
        "a layer returns NaN",
        "an error names the layer and the images",
        (
            Mutation(
                f"{P}features/record.py",
                "    if invalid.any():\n",
                "    if False:\n",
                "tests/features/test_record.py::test_a_layer_that_cannot_be_used_is_refused",
            ),
        ),
    ),
    Fault(
        27,
        "there is no network",
        "stored files are used; an error names missing files and their paths",
        (
            Mutation(
                f"{P}data/sources.py",
                "        if settings.offline if offline is None else offline:\n",
                "        if False:\n",
                f"{T_SOURCES}test_offline_mode_names_the_file_to_download_and_its_path",
            ),
        ),
    ),
    Fault(
        28,
        "Brain-Score is hidden, too old, or has a leftover `brainio`",
        "`brainscore doctor` reports the problem and how to fix it",
        (
            Mutation(
                f"{P}bridge/doctor.py",
                '        folder = host_folder()\n    except ItMapsError as error:\n        return Finding(HOST, error.args[0], "trouble", error.fix)\n',
                "        folder = host_folder()\n    except ItMapsError as error:\n        return Finding(HOST, error.args[0])\n",
                "tests/bridge/test_doctor.py::test_a_hidden_brain_score_is_found_and_nothing_else_stumbles_over_it",
            ),
        ),
    ),
    Fault(
        29,
        "Brain-Score tries to run pip when it loads a plugin",
        "pip is not run",
        (
            Mutation(
                f"{P}bridge/quiet.py",
                'NO_INSTALLS = {"BS_INSTALL_DEPENDENCIES": "no"}',
                'NO_INSTALLS = {"BS_INSTALL_DEPENDENCIES": "yes"}',
                "tests/cli/test_cli.py::test_pip_is_never_run",
            ),
        ),
    ),
    Fault(
        30,
        "a score is computed again with other numbers of threads and other batch sizes",
        "the same numbers",
        (
            Mutation(
                f"{P}models/load.py",
                "    module = build(architecture, seed, **(spec.options if spec else {})).eval()\n",
                "    module = build(architecture, seed, **(spec.options if spec else {})).train()\n",
                "tests/bridge/test_bridge.py::test_neither_batches_nor_threads_change_the_score_of_either_evaluation",
            ),
        ),
    ),
    Fault(
        31,
        "a result is from another version, edited or truncated",
        "migrated, or refused with the names of changed values",
        (
            Mutation(
                SAVED,
                "        _check_unchanged(plain, version)\n",
                "",
                f"{T_RESULT}test_what_was_changed_after_a_result_was_written_is_named",
            ),
            Mutation(
                SAVED,
                "        check_numbers(result)\n        return result\n",
                "        return result\n",
                f"{T_RESULT}test_numbers_beyond_their_range_are_refused",
            ),
        ),
    ),
    Fault(
        32,
        "paths are unusual; the user's home folder is unknown",
        "the paths work; an error of one sentence",
        (
            Mutation(
                f"{P}settings.py",
                "    except RuntimeError as error:\n        raise UsageError(",
                "    except ZeroDivisionError as error:\n        raise UsageError(",
                f"{T_FAULTS}test_a_home_folder_that_is_not_known_is_one_sentence",
            ),
        ),
    ),
    Fault(
        33,
        "names and files contain control characters; tables contain formulas",
        "characters are escaped; formulas get a leading apostrophe",
        (
            Mutation(
                f"{P}cli/terminal.py",
                "        return super().render_str(printable(text), **kwargs)\n",
                "        return super().render_str(text, **kwargs)\n",
                f"{T_TEXT}test_a_shown_result_escapes_its_texts",
            ),
            Mutation(
                FILES,
                '    return FORMULA.sub(r"\\1\'", value) if',
                "    return value if",
                f"{T_TEXT}test_csv_files_of_a_result_contain_no_formula",
            ),
        ),
    ),
    Fault(
        34,
        "the name of a model contains HTML",
        "the HTML is escaped",
        (
            Mutation(
                f"{P}reporting/report.py",
                "autoescape=True",
                "autoescape=False",
                "tests/reporting/test_report.py::test_names_that_are_html_are_only_names",
            ),
        ),
    ),
    Fault(
        35,
        "the loss of a training run is NaN",
        "the run stops; an error names the step and its images",
        (
            Mutation(
                f"{P}training/loop.py",
                '    if np.isfinite([numbers["total"], numbers["gradient_norm"]]).all():\n',
                "    if True:\n",
                f"{T_RUN}test_numbers_that_are_not_finite_stop_a_run_and_name_the_step_and_its_images",
            ),
        ),
    ),
    Fault(
        36,
        "more PLS components than the rank are requested",
        "as many as the rank are used, with a note",
        (
            Mutation(
                f"{P}metrics/pls.py",
                "        live &= variance > NOISE**2 * largest\n",
                "",
                "tests/metrics/test_pls.py::test_more_components_than_rank_gives_least_squares_and_says_how_many_were_used",
            ),
        ),
    ),
    Fault(
        37,
        "a contribution fails in the middle",
        "everything is undone",
        (
            Mutation(
                f"{P}bridge/contribution_files.py",
                "    except BaseException as error:\n        written.undo()\n",
                "    except BaseException as error:\n",
                "tests/bridge/test_contribute.py::test_an_error_or_an_interruption_in_the_middle_undoes_everything",
            ),
        ),
    ),
    Fault(
        38,
        "time zones differ",
        "times in files are UTC; cache keys contain no time",
        (
            Mutation(
                f"{P}benchmark/result.py",
                'datetime.now(UTC).isoformat(timespec="seconds")',
                'datetime.now().astimezone().isoformat(timespec="seconds")',
                f"{T_FAULTS}test_times_in_results_are_utc_in_every_time_zone",
            ),
        ),
    ),
    Fault(
        39,
        "an HDF5 file refers to other files",
        "refused at every level",
        (
            Mutation(
                READER,
                "                check_stored_here(item, name)\n",
                "",
                f"{T_HDF5}test_no_other_file_is_read_at_any_level",
            ),
            Mutation(
                READER,
                "if kind != h5py.h5l.TYPE_HARD:",
                "if False:",
                f"{T_HDF5}test_a_link_to_another_file_is_refused_before_that_file_is_opened",
            ),
        ),
    ),
    Fault(
        40,
        "other users of the machine try to join a sweep",
        "they cannot run code in it",
        (
            Mutation(
                f"{P}study/cluster.py",
                '"protocol": ENCRYPTED, "security": Security.temporary()}',
                '"protocol": "tcp://", "security": Security()}',
                "tests/study/test_private_workers.py::test_another_user_of_the_machine_can_run_nothing_in_a_sweep",
            ),
        ),
    ),
    Fault(
        41,
        "the process is killed while it replaces a result",
        "the older or the newer result is complete",
        (
            Mutation(
                SAVED,
                '    return hidden if hidden.is_file() else _final_path(file, "npz")\n',
                '    return _final_path(file, "npz")\n',
                f"{T_RESULT}test_a_result_is_the_older_or_the_newer_one_whenever_the_process_is_killed",
            ),
        ),
    ),
    Fault(
        42,
        "a bit flips in a result, a cache entry or a checkpoint",
        "a result or checkpoint is refused; a cache entry is computed again",
        (
            Mutation(
                SAVED,
                '            if sha256(stored) != plain["npz_sha256"]:\n',
                "            if False:\n",
                f"{T_RESULT}test_a_file_that_was_edited_is_refused",
            ),
            Mutation(
                CACHE,
                "            if str(entry.pop(CONTENT)) != content_of(key, entry):\n",
                "            if not entry.pop(CONTENT):\n",
                f"{T_CACHE}test_an_entry_that_was_edited_or_renamed_is_computed_again",
            ),
            Mutation(
                CHECKPOINT,
                "    if changed:\n",
                "    if False:\n",
                f"{T_RUN}test_a_flipped_bit_in_a_checkpoint_is_refused",
            ),
        ),
    ),
    Fault(
        43,
        "a checkpoint from another source is placed in a run",
        "refused",
        (
            Mutation(
                CHECKPOINT,
                "    if stored_settings != settings:\n",
                "    if False:\n",
                f"{T_RUN}test_a_checkpoint_that_was_planted_is_refused",
            ),
            Mutation(
                CHECKPOINT,
                "    if step > steps:\n",
                "    if False:\n",
                f"{T_RUN}test_a_checkpoint_that_was_planted_is_refused",
            ),
        ),
    ),
    Fault(
        44,
        "Python files in the current folder have names of modules",
        "workers do not import them",
        (
            Mutation(
                f"{P}study/cluster.py",
                'SAFE_PATH = {"PYTHONSAFEPATH": "1"}',
                'SAFE_PATH = {"PYTHONSAFEPATH": ""}',
                "tests/study/test_private_workers.py::test_workers_import_nothing_from_the_current_folder",
            ),
        ),
    ),
)
