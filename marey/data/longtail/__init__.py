"""Long-tailed parts of balanced data sets, by the profile of a published one."""
