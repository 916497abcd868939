//! How long each bench takes: all of them together less than ten minutes, on two cores that are not alone.

use criterion::Criterion;
use std::time::Duration;

/// As a bench is to be measured, unless the command line says otherwise.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .nresamples(20_000)
}
