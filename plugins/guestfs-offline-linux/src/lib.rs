//! Inspects and fixes Linux guests offline through libguestfs
