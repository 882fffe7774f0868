//! Every bound of the store in one place, unit in the name.
