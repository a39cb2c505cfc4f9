//! Converts images and commits overlays with qemu-img
