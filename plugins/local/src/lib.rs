//! Fetches virtual machines from local files and folders
