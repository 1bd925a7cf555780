//! Every bound of the projector, the rebuild and the verification, in one place.

use std::time::Duration;

/// How much is read, held, written and waited at a time. [`Settings::default`] is a good start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Events that one batch takes at most. Default 20,000. Larger batches are faster, since a document
    /// is written once a batch, however often it was touched.
    pub batch_events_max: usize,
    /// Documents that one batch touches at most. Default 10,000. One event that touches more is still
    /// taken as a whole.
    pub batch_documents_max: usize,
    /// Bytes of events, and bytes of documents, that one batch holds at most. Default 32 MiB.
    pub batch_bytes_max: usize,
    /// Statements of one write command. Default 5,000; MongoDB takes 100,000, compatible servers 25,000.
    pub command_statements_max: usize,
    /// Bytes of one write command. Default 8 MB; servers take 16 MB.
    pub command_bytes_max: usize,
    /// Commands of one batch in flight at a time; a key always goes by the same one. Default 2.
    pub lanes: usize,
    /// Batches that are folded and not yet in the checkpoint, the one that is being written included.
    /// Default 2: one is folded while another is written.
    pub batches_ahead_max: usize,
    /// How long a process may be silent before another one takes its projections over. Default 5 s. It says
    /// that it lives three times as often.
    pub lease: Duration,
    /// Into how many buckets the keys of a model are dealt when it is created or rebuilt; processes share
    /// them. Default 1: processes share whole models.
    pub buckets: usize,
    /// Events after which what rows carry is stored; at most so many are folded again after a crash.
    /// Default 1,000,000.
    pub carry_events_max: usize,
    /// Keys of one projection that may be parked; beyond it the projection halts. Default 1,000.
    pub parked_keys_max: usize,
    /// Documents that each projection keeps in memory between batches. Default 100,000.
    pub cache_documents_max: usize,
    /// Bytes that each projection's kept documents take, counted as stored. Default 64 MiB.
    pub cache_bytes_max: usize,
    /// How often the log is asked when nothing wakes the projector. Default 1 s.
    pub poll_interval: Duration,
    /// First wait before something that failed is tried again; it doubles from there. Default 50 ms.
    pub retry_delay_min: Duration,
    /// Longest wait before something that failed is tried again. Default 5 s.
    pub retry_delay_max: Duration,
    /// After so many equal refusals in a row, while the server takes other writes, the batch is taken to
    /// be at fault, and its projection stops. Default 5.
    pub equal_answers_max: u32,
    /// How long a process that was thought dead may still send a write: tombstones, and what a former
    /// generation left, are removed only after it. Default 60 s.
    pub late_write_grace: Duration,
    /// How long a switch of generations may take before somebody else ends it, and two leases at least.
    /// Default 10 s.
    pub switch_grace: Duration,
    /// Bytes of documents, counted roughly, that a rebuild folds in memory. Default 1 GiB. A model beyond
    /// it is rebuilt through the database, as live folding does, several times slower.
    pub rebuild_bytes_max: usize,
    /// Documents that a verification holds in memory at a time. Default 1,000,000. A larger model is
    /// verified in several passes over the log.
    pub verify_documents_max: usize,
    /// Differences that a verification lists; it counts them all. Default 100.
    pub verify_differences_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_events_max: 20_000,
            batch_documents_max: 10_000,
            batch_bytes_max: 32 << 20,
            command_statements_max: 5_000,
            command_bytes_max: 8_000_000,
            lanes: 2,
            batches_ahead_max: 2,
            lease: Duration::from_secs(5),
            buckets: 1,
            carry_events_max: 1_000_000,
            parked_keys_max: 1_000,
            cache_documents_max: 100_000,
            cache_bytes_max: 64 << 20,
            poll_interval: Duration::from_secs(1),
            retry_delay_min: Duration::from_millis(50),
            retry_delay_max: Duration::from_secs(5),
            equal_answers_max: 5,
            late_write_grace: Duration::from_mins(1),
            switch_grace: Duration::from_secs(10),
            rebuild_bytes_max: 1 << 30,
            verify_documents_max: 1_000_000,
            verify_differences_max: 100,
        }
    }
}

impl Settings {
    /// The name of a setting that cannot work, if there is one: a bound of zero.
    pub(crate) fn invalid(&self) -> Option<&'static str> {
        let bounds = [
            ("batch_events_max", self.batch_events_max),
            ("batch_documents_max", self.batch_documents_max),
            ("batch_bytes_max", self.batch_bytes_max),
            ("command_statements_max", self.command_statements_max),
            ("command_bytes_max", self.command_bytes_max),
            ("lanes", self.lanes),
            ("batches_ahead_max", self.batches_ahead_max),
            ("buckets", self.buckets),
            ("carry_events_max", self.carry_events_max),
            ("cache_documents_max", self.cache_documents_max),
            ("cache_bytes_max", self.cache_bytes_max),
            ("verify_documents_max", self.verify_documents_max),
        ];
        let zero = bounds.into_iter().find(|(_, bound)| *bound == 0).map(|(name, _)| name);
        zero.or_else(|| self.retry_delay_min.is_zero().then_some("retry_delay_min"))
            .or_else(|| self.poll_interval.is_zero().then_some("poll_interval"))
            .or_else(|| (self.lease < Duration::from_millis(3)).then_some("lease"))
    }
}
