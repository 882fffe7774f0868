//! Leases: deadlines and expiry.
