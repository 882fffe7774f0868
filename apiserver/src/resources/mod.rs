//! The table of resources, and what single kinds do beyond create, read, update and delete.
