//! What the whole tests share.
