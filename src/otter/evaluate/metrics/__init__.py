"""When an answer counts as right: one file per metric."""
