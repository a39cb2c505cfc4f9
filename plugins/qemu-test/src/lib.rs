//! Boots the result under qemu and looks for evidence
