//! Lets programs that do not know the ring read it.
