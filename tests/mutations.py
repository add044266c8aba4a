"""Remove protections of the package one by one, in a copy of the checkout: the test that is named must fail each time.

Run from the checkout: ``python tests/mutations.py [words of the tests to try]``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from faults import FAULTS

LIMIT = 120
"""Seconds that a test may take."""
FAILED, TOO_LONG = 1, -1
"""Exit code of pytest when tests ran and some failed, and what stands for a process that did not end."""
HEAD = """# Faults that the package survives

{yes} of {all}: for each fault, its protection was removed from a copy of the code, and the test below then failed
within its time limit. `python tests/mutations.py faults` checks this table; `nox -s mutations` also checks other
protections, and writes this page. After any of these faults, there is no wrong number without an error, no traceback
for a mistake of the user, and no harm to other files; a second run continues.

| # | fault | what happens | test | noticed |
| --- | --- | --- | --- | --- |
"""
CHECKOUT = Path(__file__).parents[1]
ARCHIVES, RECORDS = "brainscore_itmaps/archives.py", "brainscore_itmaps/data/tfrecords.py"
CLUSTER, READER = "brainscore_itmaps/study/cluster.py", "brainscore_itmaps/hdf5_reader.py"
MINIMUM = "brainscore_itmaps/features/minimum_norm.py"
TEST_MINIMUM, TEST_ADVERSARIAL = "tests/features/test_minimum_norm.py::", "tests/benchmark/test_adversarial.py::"
MUTATIONS = (  # file, text of the protection, what stands there instead, test that must fail
    (
        MINIMUM,
        " * (1 + change) + SHORTEST\n",
        "\n",
        f"{TEST_MINIMUM}test_a_boundary_that_is_flat_is_crossed",
    ),
    (
        MINIMUM,
        "            shrunk = (radius / lengths(moved).clamp_min(1e-30)).clamp_max(1)\n",
        "            shrunk = torch.ones_like(radius)\n",
        f"{TEST_MINIMUM}test_a_bent_boundary_is_reached_at_its_closest_point",
    ),
    (
        MINIMUM,
        "    return (factor[:, None] * direction).nan_to_num(0).clamp(low, high)\n",
        "    return (factor[:, None] * direction).nan_to_num(0)\n",
        f"{TEST_MINIMUM}test_the_step_to_a_boundary_is_exact_within_the_limits",
    ),
    (
        MINIMUM,
        "        free = (step >= low) & (step <= high)\n",
        "        free = torch.ones_like(step, dtype=torch.bool)\n",
        f"{TEST_MINIMUM}test_the_step_to_a_boundary_is_exact_within_the_limits",
    ),
    (
        MINIMUM,
        "        going_on = ~known | (after < (1 - ENOUGH) * before)\n",
        "        going_on = torch.ones_like(known)\n",
        f"{TEST_MINIMUM}test_images_leave_the_batch_when_nothing_is_gained",
    ),
    (
        MINIMUM,
        "images.clone(), torch.where(wrong, 0.0, math.inf))\n",
        "images.clone(), logits.new_full((len(images),), math.inf))\n",
        f"{TEST_MINIMUM}test_wrong_decisions_and_images_that_cannot_be_fooled_are_told_apart",
    ),
    (
        "brainscore_itmaps/benchmark/attacked.py",
        "np.concatenate([before, heatmaps[:-1]])",
        "heatmaps",
        f"{TEST_ADVERSARIAL}test_the_map_that_the_attack_follows_is_recognised",
    ),
    (
        "brainscore_itmaps/benchmark/attacked.py",
        "        own = np.full_like(labels, UNKNOWN)",
        "        own = labels",
        f"{TEST_ADVERSARIAL}test_random_weights_are_attacked_at_their_own_decisions",
    ),
    (
        "brainscore_itmaps/benchmark/attacked.py",
        "    return found.correct & found.fooled\n",
        "    return found.fooled\n",
        f"{TEST_ADVERSARIAL}test_images_that_are_wrong_or_not_fooled_are_counted_and_left_out",
    ),
    (
        "brainscore_itmaps/benchmark/attacked.py",
        '"adversarial": Expected((side, side, 3), low=0, high=1),',
        '"adversarial": Expected((side, side, 3)),',
        f"{TEST_ADVERSARIAL}test_a_damaged_entry_of_the_cache_is_computed_again",
    ),
    (
        "brainscore_itmaps/benchmark/attack_statistics.py",
        "    lengths = np.where(np.isnan(norms), np.inf, norms)[correct]\n",
        "    lengths = norms[correct & ~np.isnan(norms)]\n",
        f"{TEST_ADVERSARIAL}test_medians_count_images_that_were_not_fooled_as_the_longest",
    ),
    (
        "brainscore_itmaps/study/table.py",
        'row["protocol"] == OURS.name and not row["asked"]]',
        "True]",
        "tests/study/test_attacks_in_study.py::test_attacks_with_other_options_or_weights_are_not_taken_for_it",
    ),
    (
        "brainscore_itmaps/bridge/contribution_files.py",
        "        if (home / name).exists() and not is_exported(home / name):",
        "        if False:",
        "tests/bridge/test_contribute.py::test_a_folder_of_somebody_else_and_an_edited_one_are_refused",
    ),
    (
        "brainscore_itmaps/bridge/contribution_files.py",
        "    return found is not None and hashlib.sha256(text[found.end() :].encode()).hexdigest() == found[1]",
        "    return found is not None",
        "tests/bridge/test_contribute.py::test_a_folder_of_somebody_else_and_an_edited_one_are_refused",
    ),
    (
        "brainscore_itmaps/bridge/contribute.py",
        "    if plan.simulated and not draft:",
        "    if False:",
        "tests/bridge/test_contribute.py::test_simulated_data_are_refused_but_in_a_draft_and_have_no_text_of_a_pull_request",
    ),
    (
        "brainscore_itmaps/bridge/contribute.py",
        '            check_passed(checked, "Nothing was written.")\n    except BaseException:\n'
        "        written.undo()\n",
        '            check_passed(checked, "Nothing was written.")\n    except BaseException:\n',
        "tests/bridge/test_contribute.py::test_a_name_that_is_taken_leaves_the_clone_unchanged",
    ),
    (
        "brainscore_itmaps/bridge/contribute.py",
        "    if missing := [name for name in plan.files if not (known.s3.versions.get(name) and known.sha1_of(name))]:",
        "    if missing := []:",
        "tests/bridge/test_contribute.py::test_files_that_are_not_on_s3_are_asked_for_by_name",
    ),
    (
        "brainscore_itmaps/bridge/contribution_known.py",
        "        if s3.sha1.get(name, digest) != digest:",
        "        if False:",
        "tests/bridge/test_contribute.py::test_a_file_that_differs_from_the_one_on_s3_is_told",
    ),
    (
        "brainscore_itmaps/bridge/contribution_known.py",
        "    if recording.simulated and not dataset.simulated:",
        "    if False:",
        "tests/bridge/test_contribute.py::test_a_stand_in_is_never_taken_for_the_recording",
    ),
    (
        "brainscore_itmaps/bridge/contribution_text.py",
        '    if plan.simulated:\n        return ""\n',
        "",
        "tests/bridge/test_contribute.py::test_simulated_data_are_refused_but_in_a_draft_and_have_no_text_of_a_pull_request",
    ),
    (
        "brainscore_itmaps/bridge/extraction.py",
        '        shorter = EXAMPLES.sub("", plain)',
        "        shorter = plain",
        "tests/bridge/test_contribute.py::test_every_name_is_written_without_an_import_of_this_package_and_parses",
    ),
    (
        "brainscore_itmaps/bridge/leaderboard.py",
        "        score, raw = Score(min(mean.score, 1.0)), Score(mean.raw)",
        "        score, raw = Score(mean.score), Score(mean.raw)",
        "tests/bridge/test_leaderboard.py::test_a_score_above_1_is_cut_and_kept_beside",
    ),
    (
        "brainscore_itmaps/bridge/leaderboard.py",
        '    left_out, pairs = fit_left_out(field, maps, "pls", GROUPS)',
        '    left_out, pairs = fit_left_out(field, maps, "pls", None)',
        "tests/bridge/test_leaderboard.py::test_an_embedded_model_has_our_score_interval_and_error_to_rounding",
    ),
    (
        "brainscore_itmaps/bridge/candidate.py",
        "        models += [value for value in inner if not any(value is known for known in models)]",
        "",
        "tests/bridge/test_leaderboard.py::test_the_cache_of_a_commitment_behind_an_adapter_is_disabled_too",
    ),
    (
        "brainscore_itmaps/bridge/host.py",
        "        left_out = tuple(identifier for identifier in names if identifier in taken)",
        "        left_out = ()",
        "tests/bridge/test_plugins.py::test_identifiers_that_brain_score_registers_in_another_folder_are_not_linked",
    ),
    (
        "brainscore_itmaps/bridge/plugins.py",
        "        else:\n            entries.pop(name, None)\n",
        "",
        "tests/bridge/test_plugins.py::test_attaching_leaves_identifiers_of_brain_score_to_it",
    ),
    (
        "brainscore_itmaps/bridge/quiet.py",
        "            waiting += [*one.args, one.__cause__, None if one.__suppress_context__ else one.__context__]",
        "            waiting += []",
        "tests/bridge/test_external.py::test_a_download_that_failed_is_known_however_deep_it_lies",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        '    return f"{outside[0]} is changed, too." if outside else None',
        "    return None",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[only-plugin-folders]",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        '                    return f"{name} is registered by {folder.kind}/{other.parent.name}, too."',
        "                    return None",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[identifier-taken]",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        '                return f"{name} imports {PACKAGE}."',
        "                continue",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[self-contained]",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        '    return f"{wrong[0]!r} lets numpy 2 in." if wrong else None',
        "    return None",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[numpy-below-2]",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        "    return f\"Facts of files on S3 are missing: {', '.join(missing)}.\" if missing else None",
        "    return None",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[s3-facts]",
    ),
    (
        "brainscore_itmaps/bridge/contribution_rules.py",
        '    return f"{simulated[0]} is SIMULATED: no monkey was recorded." if simulated else None',
        "    return None",
        "tests/bridge/test_contribution_rules.py::test_a_rule_that_is_broken_once_is_named_with_its_source_and_a_next_step[no-simulated-data]",
    ),
    (
        "brainscore_itmaps/pinned_files.py",
        "or not is_unchanged(folder / file.path, file.sha256, file.size)",
        "or False",
        "tests/data/test_osie.py::test_a_file_that_changes_after_the_download_is_never_read",
    ),
    (
        "brainscore_itmaps/pinned_files.py",
        "            if hashes[path] == file.sha256:",
        "            if path.name == file.name:",
        "tests/test_pinned_files.py::test_copies_that_are_missing_or_changed_are_named_and_the_others_kept",
    ),
    (
        "brainscore_itmaps/data/osie.py",
        "later = np.asarray(fixations, dtype=np.float64)[1:]",
        "later = np.asarray(fixations, dtype=np.float64)",
        "tests/data/test_osie.py::test_a_density_is_the_sum_of_gaussians_around_all_fixations_but_the_first",
    ),
    (
        "brainscore_itmaps/bridge/candidate.py",
        "        if model is None:\n            stretch_to_squares",
        "        if True:\n            stretch_to_squares",
        "tests/data/test_osie.py::test_brain_score_computes_the_same_number_for_images_that_are_not_square",
    ),
    (
        "brainscore_itmaps/study/published_places.py",
        'if row["simulated"]:',
        "if False:",
        "tests/study/test_published.py::test_a_result_that_is_not_comparable_is_not_placed_and_the_reason_is_said",
    ),
    (
        "brainscore_itmaps/study/published_places.py",
        'if (sites := len(scored.sites)) != (expected := int(scores["sites"].iloc[0])):',
        "if (sites := 1) != (expected := 1):",
        "tests/study/test_published.py::test_a_result_that_is_not_comparable_is_not_placed_and_the_reason_is_said",
    ),
    (
        "brainscore_itmaps/study/verify_structure.py",
        "inside >= SHARE * SITES[array.name]",
        "inside > 0",
        "tests/study/test_verify_real.py::test_rates_agree_only_if_half_of_the_sites_lie_in_the_printed_range",
    ),
    (
        "brainscore_itmaps/study/verify_orientation.py",
        "fits = not badness((a, b))[0]",
        "fits = max(first[a], second[b]) <= TOLERANCE",
        "tests/study/test_verify_orientation.py::test_exactly_the_orientation_in_which_maps_are_stored_is_found",
    ),
    (
        "brainscore_itmaps/metrics/folds.py",
        "shared = (of_sum - squares) / (counts - 1)",
        "shared = of_sum / (counts - 1)",
        "tests/metrics/test_offsets.py::test_a_typical_map_of_unrelated_maps_shrinks_to_about_nothing",
    ),
    (
        "brainscore_itmaps/metrics/nulls.py",
        "left = np.split(standardised([pairs.of(fold, set) for fold in folds]), ends, axis=1)",
        "left = np.split(standardised([pairs.of(0, set) for fold in folds]), ends, axis=1)",
        "tests/metrics/test_nulls.py::test_a_pair_is_predicted_by_regressions_that_were_fitted_to_neither_image",
    ),
    (
        "brainscore_itmaps/benchmark/validity.py",
        "gain = added[WITH_FEATURES].minus(best_control(controls, measure))",
        "gain = added[WITH_FEATURES].minus(controls[JOINT])",
        "tests/benchmark/test_controls.py::test_unique_is_the_gain_of_one_regression_over_the_better_of_two",
    ),
    (
        "brainscore_itmaps/benchmark/added.py",
        "both = np.concatenate([joint, features.field(recording.grid)], axis=-1)",
        "both = np.concatenate([0 * joint, features.field(recording.grid)], axis=-1)",
        "tests/benchmark/test_controls.py::test_features_that_are_another_half_add_what_they_hold",
    ),
    (
        "brainscore_itmaps/models/selectors.py",
        "if not isinstance(element, int) or time_first == time_second:",
        "if not isinstance(element, int):",
        "tests/models/test_selectors.py::test_a_time_step_is_selected_along_the_axis_that_is_not_the_images",
    ),
    (
        ARCHIVES,
        'if ":" in name:',
        "if False:",
        "tests/test_archives.py::test_a_member_outside_the_folder_is_refused_by_name_before_anything_is_written",
    ),
    (
        ARCHIVES,
        "if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):",
        "if False:",
        "tests/test_archives.py::test_links_and_devices_are_refused",
    ),
    (
        ARCHIVES,
        "elif path in files:",
        "elif False:",
        "tests/test_archives.py::test_names_that_collide_on_some_file_systems_are_refused",
    ),
    (
        ARCHIVES,
        "if len(members) > MEMBERS:",
        "if False:",
        "tests/test_archives.py::test_too_many_members_are_refused",
    ),
    (
        RECORDS,
        "if opened.read(CHECK.size) != _check(record):",
        "if not opened.read(CHECK.size):",
        "tests/data/test_tfrecords.py::test_a_flipped_bit_is_detected",
    ),
    (
        "brainscore_itmaps/downloads.py",
        "if max(self.done, self.total) > LARGEST:",
        "if False:",
        "tests/test_downloads.py::test_an_endless_file_is_stopped",
    ),
    (
        "brainscore_itmaps/pinned.py",
        "if required is not None and sha256 != required.lower():",
        "if False:",
        "tests/data/test_sources.py::test_a_different_archive_upstream_is_refused_and_the_record_stays",
    ),
    (
        "brainscore_itmaps/data/arrays.py",
        "kept[values.mask] = np.nan",
        "pass",
        "tests/data/test_given.py::test_masked_values_are_missing_also_in_lists_and_never_filled_in",
    ),
    (
        "brainscore_itmaps/data/tables.py",
        "if absent.any() and not missing_rows:",
        "if False:",
        "tests/data/test_tables.py::test_rows_that_are_missing_or_repeated_are_named",
    ),
    (
        "brainscore_itmaps/data/tables.py",
        "if (count > 1).any():",
        "if False:",
        "tests/data/test_tables.py::test_rows_that_are_missing_or_repeated_are_named",
    ),
    (
        "brainscore_itmaps/data/checks.py",
        "elif not np.allclose(mean_over_repeats(repeats), maps, equal_nan=True):",
        "elif False:",
        "tests/data/test_recording.py::test_repeats_of_other_maps_and_repeats_that_are_not_finite_are_refused",
    ),
    (
        "brainscore_itmaps/benchmark/packaged.py",
        "    packaged_file(spec.weights)\n",
        "",
        "tests/benchmark/test_packaged.py::"
        "test_a_cached_score_is_that_of_the_model_and_is_refused_when_one_byte_of_the_weights_changes",
    ),
    (
        "brainscore_itmaps/models/checkpoint.py",
        'torch.load(path, map_location="cpu", weights_only=True)',
        'torch.load(path, map_location="cpu", weights_only=False)',
        "tests/models/test_models.py::test_a_hostile_weight_file_is_not_executed",
    ),
    (
        "brainscore_itmaps/models/checkpoint.py",
        'return torch.load(path, "cpu", weights_only=True)',
        'return torch.load(path, "cpu", weights_only=False)',
        "tests/models/test_checkpoints.py::test_a_hostile_file_is_not_run",
    ),
    (
        "brainscore_itmaps/models/torchvision_models.py",
        'os.environ[FORCE_TENSORS_ONLY] = "1"',
        "pass",
        "tests/models/test_libraries.py::"
        "test_pretrained_weights_of_torchvision_are_read_from_torch_s_cache_without_running_code",
    ),
    (
        "brainscore_itmaps/models/state_dicts.py",
        "if is_inside and (name in names or not (ONLY_TRAINING.match(name) or name.startswith(heads))):",
        "if is_inside and name in names:",
        "tests/models/test_checkpoints.py::test_weights_of_the_model_that_the_architecture_lacks_are_never_dropped",
    ),
    (
        "brainscore_itmaps/cache.py",
        "return bool(np.isfinite(defined).all() and (defined >= self.low).all() and (defined <= self.high).all())",
        "return True",
        "tests/test_cache.py::test_an_entry_of_another_type_shape_or_range_is_not_believed",
    ),
    (
        "brainscore_itmaps/metrics/ceiling.py",
        "if interval.low > 0 and self.value > 0:",
        "if True:",
        "tests/metrics/test_ceiling.py::test_maps_of_noise_have_no_ceiling_to_divide_by",
    ),
    (
        "brainscore_itmaps/benchmark/estimate.py",
        "if ceiling.reason:",
        "if False:",
        "tests/benchmark/test_evaluate.py::test_a_recording_whose_repeats_contradict_each_other_has_no_score_but_a_raw_value",
    ),
    (
        "brainscore_itmaps/benchmark/maps.py",
        "if first != second == third and first * columns != second * rows:",
        "if False:",
        "tests/benchmark/test_result.py::test_channels_before_positions_are_refused_where_the_shape_tells",
    ),
    (
        CLUSTER,
        'private = {"host": "127.0.0.1", "protocol": ENCRYPTED, "security": Security.temporary()}',
        'private = {"host": "127.0.0.1", "protocol": "tcp://", "security": Security()}',
        "tests/study/test_private_workers.py::test_another_user_of_the_machine_can_run_nothing_in_a_sweep",
    ),
    (
        "brainscore_itmaps/study/private.py",
        "class PrivateScheduler(Scheduler):",
        "class PrivateScheduler(Scheduler):\n    pass\n\n\nclass Other(Scheduler):",
        "tests/study/test_private_workers.py::test_another_user_of_the_machine_can_run_nothing_in_a_sweep",
    ),
    (
        "brainscore_itmaps/study/private.py",
        "class PrivateWorker(Worker):",
        "class PrivateWorker(Worker):\n    pass\n\n\nclass Other(Worker):",
        "tests/study/test_private_workers.py::test_another_user_of_the_machine_can_run_nothing_in_a_sweep",
    ),
    (
        CLUSTER,
        "if not address.startswith(ENCRYPTED):",
        "if False:",
        "tests/study/test_private_workers.py::test_a_scheduler_without_encryption_is_not_joined",
    ),
    (
        CLUSTER,
        'if security.get_connection_args("client")["ssl_context"] is None:',
        "if False:",
        "tests/study/test_private_workers.py::test_a_scheduler_is_joined_with_a_certificate_that_can_be_read",
    ),
    (
        CLUSTER,
        "    with dask.config.set(settings), _starting():",
        "    with dask.config.set(settings):",
        "tests/study/test_private_workers.py::test_workers_that_cannot_start_are_a_sentence_and_the_environment_is_given_back",
    ),
    (
        CLUSTER,
        "            protocol=ENCRYPTED,\n            security=Security.temporary(),",
        "",
        "tests/study/test_sweep.py::test_slurm_is_given_a_job_a_worker",
    ),
    (
        READER,
        "properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count() > 0",
        "properties.get_external_count() > 0",
        "tests/test_hdf5.py::test_no_other_file_is_read_at_any_level",
    ),
    (
        READER,
        "properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count() > 0",
        "properties.get_layout() == h5py.h5d.VIRTUAL",
        "tests/test_hdf5.py::test_no_other_file_is_read_at_any_level",
    ),
    (
        READER,
        "            check_stored_here(target.id, name)\n",
        "",
        "tests/test_hdf5.py::test_datasets_reached_only_by_reference_are_checked_too",
    ),
    (
        READER,
        "if kind == h5py.h5l.TYPE_SOFT:",
        "if False:",
        "tests/test_hdf5.py::test_soft_links_are_not_followed",
    ),
    (
        READER,
        "signal.setitimer(signal.ITIMER_PROF, min(seconds, LONGEST))",
        "pass",
        "tests/test_hdf5.py::test_the_reader_of_an_endless_file_ends_after_its_command_was_killed",
    ),
    (
        READER,
        'if b"/" in raw or raw in (b"", b".", b".."):',
        "if False:",
        "tests/test_hdf5.py::test_a_name_that_is_a_path_is_refused_before_its_links_are_followed",
    ),
    (
        READER,
        "if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference:",
        "if dataset.dtype == h5py.ref_dtype:",
        "tests/test_hdf5.py::test_text_is_not_used_as_a_reference",
    ),
    (
        READER,
        "if claimed > MEMORY / 100 and claimed > RATIO * dataset.get_storage_size():",
        "if False:",
        "tests/test_hdf5.py::test_a_dataset_that_claims_more_than_is_stored_is_refused",
    ),
    (
        READER,
        "        limit_memory(MEMORY)\n",
        "",
        "tests/test_hdf5.py::test_an_attribute_that_repeats_a_long_text_takes_limited_memory",
    ),
    (
        READER,
        "    signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST) * WAITING)\n",
        "",
        "tests/test_hdf5.py::test_reading_a_blocking_file_is_stopped",
    ),
    (
        "brainscore_itmaps/hdf5.py",
        "if self.creator_pid != os.getpid():\n            raise",
        "if False:\n            raise",
        "tests/test_hdf5.py::test_a_forked_process_starts_its_own_reader",
    ),
    (
        "brainscore_itmaps/hdf5.py",
        "    os.register_at_fork(after_in_child=_forget_reader)\n",
        "    pass\n",
        "tests/test_hdf5.py::test_a_forked_process_starts_its_own_reader",
    ),
    (
        "brainscore_itmaps/hdf5.py",
        "        except BaseException:  # Ctrl-C\n            self.end()\n",
        "        except BaseException:  # Ctrl-C\n",
        "tests/test_hdf5.py::test_an_interrupted_answer_is_not_used_for_the_next_request",
    ),
    (
        "brainscore_itmaps/hdf5.py",
        "    if not path.is_file():\n",
        "    if False:\n",
        "tests/test_hdf5.py::test_only_regular_files_are_opened",
    ),
    (
        "brainscore_itmaps/cli/terminal.py",
        "super().__init__(highlight=False, markup=False, emoji=False, **kwargs)",
        "super().__init__(highlight=False, **kwargs)",
        "tests/test_untrusted_text.py::test_every_part_of_a_table_escapes_text",
    ),
    (
        "brainscore_itmaps/errors.py",
        "super().__init__(printable(what))",
        "super().__init__(what)",
        "tests/test_untrusted_text.py::test_errors_escape_names",
    ),
    (
        "brainscore_itmaps/files.py",
        "writerows(map(csv_cell, row) for row in rows)",
        "writerows(rows)",
        "tests/test_untrusted_text.py::test_csv_files_of_a_result_contain_no_formula",
    ),
    (
        "brainscore_itmaps/study/drawn.py",
        "rows.rename(columns=csv_cell).apply(lambda column: column.map(csv_cell)).to_csv",
        "rows.to_csv",
        "tests/test_untrusted_text.py::test_csv_files_of_a_comparison_contain_no_formula",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        'data.encoding["coordinates"] =',
        'data.encoding["unlimited"] =',
        "tests/bridge/test_packaging.py::test_files_are_identical_in_every_process_and_with_other_folders",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        "{registered_names(recording).stimuli}--{",
        "{registered_names(recording).stimuli}-{",
        "tests/bridge/test_packaging.py::test_brain_score_s_cache_accepts_the_identifiers_of_images",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        "list(names if _stay_text(names) else files)",
        "list(names)",
        "tests/bridge/test_packaging.py::test_brain_score_s_own_loader_gives_back_the_same_recording",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        "if (image < 0).any():",
        "if False:",
        "tests/bridge/test_packaging.py::test_images_of_another_stimulus_set_are_refused",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        ' or _sha1(packaged) != file["sha1"]',
        "",
        "tests/bridge/test_packaging.py::test_a_file_that_is_not_the_packaged_one_is_refused",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        "if array is None or published != array.identifier:",
        "if True:",
        "tests/bridge/test_packaging.py::test_registered_names_are_those_of_the_data_plugins",
    ),
    (
        "brainscore_itmaps/bridge/benchmark.py",
        "mean_ceiling(ceilings, image_identities(self.recordings))",
        "mean_ceiling(ceilings, range(len(ceilings)))",
        "tests/bridge/test_database_contract.py::test_the_error_of_a_mean_ceiling_leaves_shared_images_out_of_all_arrays_at_once",
    ),
    (
        "brainscore_itmaps/bridge/benchmark.py",
        "{} if np.isfinite(error) else",
        "{} if True else",
        "tests/bridge/test_database_contract.py::test_a_missing_error_has_a_reason",
    ),
    (
        "brainscore_itmaps/bridge/assembly.py",
        "if formulas := [name for name in names if csv_cell(name) != name]:",
        "if formulas := []:",
        "tests/test_untrusted_text.py::test_brain_scores_csv_refuses_names_that_are_formulas",
    ),
    (
        "brainscore_itmaps/models/runs.py",
        "if not file.is_absolute() or file.resolve().is_relative_to(folder.resolve()):",
        "if False:",
        "tests/training/test_own_data_and_models.py::test_code_that_changed_moved_or_came_with_the_run_is_not_run",
    ),
    (
        "brainscore_itmaps/models/runs.py",
        'if sha256(file) != record.get("code_sha256"):',
        "if False:",
        "tests/training/test_own_data_and_models.py::test_code_that_changed_moved_or_came_with_the_run_is_not_run",
    ),
    (
        "brainscore_itmaps/training/checkpoint.py",
        "    if stored_step != step:\n",
        "    if False:\n",
        "tests/training/test_harmonize.py::test_a_checkpoint_that_was_planted_is_refused",
    ),
    (
        "brainscore_itmaps/metrics/pls.py",
        "if (variance[live] < ILL_CONDITIONED * covariance.largest).any():",
        "if False:",
        "tests/metrics/test_pls.py::test_a_left_out_image_with_far_larger_features_costs_no_digits",
    ),
    (
        "brainscore_itmaps/metrics/site_halves.py",
        "> CONDITION).any():",
        "> np.inf).any():",
        "tests/metrics/test_site_halves.py::"
        "test_sites_that_depend_on_others_or_are_missing_or_constant_are_left_to_pls",
    ),
    (
        "brainscore_itmaps/metrics/pls.py",
        "weights[moving] = np.linalg.eigh(grams[moving])[1][..., -1]",
        "weights[moving] = 1",
        "tests/metrics/test_pls.py::test_the_leading_direction_is_that_of_an_eigendecomposition",
    ),
    (
        "brainscore_itmaps/metrics/folds.py",
        'return device if device.startswith("cuda") else ""',
        'return device if device != "cpu" else ""',
        "tests/metrics/test_torch_pls.py::test_regressions_run_on_gpus_with_double_precision",
    ),
    (
        "brainscore_itmaps/threads.py",
        "        if stopped.is_set():\n",
        "        if False:\n",
        "tests/test_threads.py::test_an_error_stops_the_other_computations_and_is_raised",
    ),
    (
        "brainscore_itmaps/metrics/pls.py",
        "if squares.max() > UNEVEN * np.median(squares):",
        "if False:",
        "tests/metrics/test_pls.py::test_one_channel_far_larger_than_many_others_costs_no_digits",
    ),
    (
        "pyproject.toml",
        '"filelock>=3.20.3"',
        '"filelock>=3.12"',
        "tests/test_floors.py::test_versions_with_known_vulnerabilities_are_excluded",
    ),
)


def outcome(copy: Path, *tests: str) -> int:
    """Run tests on a copy of the checkout, each with a limit of time; returns pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-x", "--timeout", str(LIMIT)]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([*command, *tests], cwd=copy, check=False, capture_output=True, env=environment,
                              timeout=3 * LIMIT * len(tests))  # fmt: skip
    except subprocess.TimeoutExpired:
        return TOO_LONG
    return done.returncode


def is_noticed(copy: Path, file: str, protection: str, instead: str, test: str) -> bool:
    """Remove a protection, and return whether the test fails within its limit of time."""
    source = copy / file
    text = source.read_text()
    if text.count(protection) != 1:
        sys.exit(f"{file} has {text.count(protection)} times, not once: {protection}")
    source.write_text(text.replace(protection, instead))
    failed = outcome(copy, test) == FAILED
    source.write_text(text)
    print("noticed  " if failed else "UNNOTICED", test, "without", " ".join(protection.split()), flush=True)
    return failed


def table(noticed: dict[tuple[str, str, str, str], bool]) -> str:
    """Return the page of the faults, with what was noticed."""
    rows = []
    for fault in FAULTS:
        tests = "<br>".join(f"`{mutation.test.rpartition('::')[2]}`" for mutation in fault.mutations)
        survived = "yes" if all(noticed[mutation] for mutation in fault.mutations) else "NO"
        rows.append(f"| {fault.number} | {fault.fault} | {fault.happens} | {tests} | {survived} |")
    yes = sum(row.endswith("| yes |") for row in rows)
    return HEAD.format(yes=yes, all=len(FAULTS)) + "\n".join(rows) + "\n"


def main(words: list[str]) -> int:
    """Try the faults, and all mutations whose test has one of these words in its name; returns how many went unnoticed.

    With the word ``faults``, the table alone; without words, everything, and the table is written.
    """
    of_faults = [mutation for fault in FAULTS for mutation in fault.mutations]
    chosen = [row for row in (*of_faults, *MUTATIONS) if not words or any(word in row[3] for word in words)]
    if words == ["faults"]:
        chosen = of_faults
    noticed = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", "build", "*.egg-info"))
        if code := outcome(copy, *dict.fromkeys(row[3] for row in chosen)):
            sys.exit(f"The tests fail without any mutation: pytest ended with {code}.")
        for row in chosen:
            noticed[tuple(row)] = is_noticed(copy, *row)
    print(f"{sum(noticed.values())} of {len(chosen)} mutations were noticed.")
    if noticed.keys() >= {tuple(row) for row in of_faults}:
        text = table(noticed)
        (CHECKOUT / "docs" / "faults.md").write_text(text)
        print(text.splitlines()[2])
    return len(chosen) - sum(noticed.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
