//! Lets programs that do not know the ring write to it.
