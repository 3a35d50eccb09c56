"""Training: options, the Trainer with exact losses, checkpoints, run folders."""
