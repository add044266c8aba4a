"""From pictures to features at the recording's grid."""
