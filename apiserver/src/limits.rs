//! Every bound of the apiserver in one place, unit in the name.
