//! The guard's decisions, no_std, the same code in the kernel and in tests.
