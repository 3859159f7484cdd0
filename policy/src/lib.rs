//! Pure policy: levels, tenants, rules, events, resolution.
