"""From images to features at the recording's grid."""
