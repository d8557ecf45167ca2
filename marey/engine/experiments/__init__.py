"""Several trainings that answer one question: folds and seeds, sweeps, the range of rates."""
