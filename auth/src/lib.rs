//! Who a caller is and what they may do. Pure evaluation: no I/O.
