//! Inspects a plain directory as a guest
