//! The LD_PRELOAD library: hooks and nothing else.
