//! What the metrics say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use postfold_projections::{MemoryStore, Projector, Settings, StoreErrorKind, metrics as names};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, log_of_notes};

/// Keeps what is recorded, by name; everything has to name its projection, and what is told by bucket the bucket.
#[derive(Clone, Default)]
struct Kept {
    numbers: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
    samples: Arc<Mutex<BTreeMap<String, Arc<Samples>>>>,
}

#[derive(Default)]
struct Samples(Mutex<Vec<f64>>);

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Kept {
    fn name(key: &Key) -> String {
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        let by_bucket = [names::LAG_EVENTS, names::LAG_SECONDS].contains(&key.name());
        let all = [("projection", "notes"), ("bucket", "0")];
        assert_eq!(labels, all[..if by_bucket { 2 } else { 1 }], "{}", key.name());
        key.name().to_owned()
    }

    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        Arc::clone(self.numbers.lock().unwrap().entry(Self::name(key)).or_default())
    }

    fn counted(&self, name: &str) -> u64 {
        self.numbers.lock().unwrap()[name].load(Ordering::Relaxed)
    }

    fn sum(&self, name: &str) -> f64 {
        self.samples.lock().unwrap()[name].0.lock().unwrap().iter().sum()
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(self.samples.lock().unwrap().entry(Self::name(key)).or_default()))
    }
}

#[test]
fn events_documents_batches_retries_and_lag_are_counted() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let away = Faulty::at(&MemoryStore::new(), 5, Fault::Answers(StoreErrorKind::Unavailable, 3));
            let settings = Settings { batch_events_max: 10, ..Settings::default() };
            let projector = Projector::new(log_of_notes(95), away).with(Notes).settings(settings);
            projector.catch_up(CancellationToken::new()).await.unwrap();
            projector.rebuild("notes", CancellationToken::new()).await.unwrap();
        });
    });
    assert_eq!(kept.counted(names::EVENTS_TOTAL), 95);
    assert!(kept.counted(names::DOCUMENTS_TOTAL) > 10);
    // Commands that fail side by side are tried again together.
    assert!((1..=3).contains(&kept.counted(names::RETRIES_TOTAL)));
    assert_eq!(kept.counted(names::REBUILDS_TOTAL), 1);
    assert_eq!(f64::from_bits(kept.counted(names::LAG_EVENTS)).to_string(), "0");
    assert_eq!(f64::from_bits(kept.counted(names::HALTED)).to_string(), "0");
    assert_eq!(kept.sum(names::BATCH_EVENTS).to_string(), "95");
    assert!(kept.sum(names::BATCH_DOCUMENTS) > 10.0);
    assert!(kept.sum(names::BATCH_SECONDS) >= 0.0);
}
