//! Reads QCOW2 images and their backing chains as one flat view
