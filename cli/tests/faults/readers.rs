//! Readers that page through the models by key, all the time: never an error but while a server is away,
//! never a document that is not there any more, never one that is older than it was.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bson::{Document, doc};
use mongodb::Collection;

use crate::journal::Journal;
use crate::models::{connect, is_tombstone, key, page};
use crate::process::Ledger;
use crate::stack::Servers;

/// Documents asked for at a time.
const PAGE: i64 = 100;
/// Between two ways through a model.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a document is asked for that was left out of a page, until it is missing.
const ABSENT_MAX: Duration = Duration::from_secs(2);
/// So long after an outage the driver may still meet connections that broke in it.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A reader of each model.
pub(crate) struct Readers {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Read>>>,
}

/// What readers have seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    /// Ways through a whole model.
    pub(crate) passes: u64,
    pub(crate) documents: u64,
    /// Generations that took over before a reader's eyes.
    pub(crate) switches: u64,
    /// Queries that failed while a server was away.
    pub(crate) failed: u64,
    /// Documents that a page left out, and that were there when asked for by key.
    pub(crate) left_out: u64,
    /// Longest time that such a document was asked for until it was there.
    pub(crate) absent: Duration,
    /// Documents that were older in a new generation.
    pub(crate) older: u64,
}

impl Readers {
    pub(crate) fn start(ledger: &Ledger, models: &[String]) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let start = |model: &String| {
            let (ledger, model, ends) = (ledger.clone(), model.clone(), Arc::clone(&ends));
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(read(&ledger, &model, &ends))
            })
        };
        Self { threads: models.iter().map(start).collect(), ends }
    }

    /// Whether one of them has found something already.
    pub(crate) fn have_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends them, and says what they saw.
    pub(crate) fn finish(self) -> Result<Read> {
        self.ends.store(true, Ordering::SeqCst);
        let mut all = Read::default();
        for thread in self.threads {
            all.add(thread.join().unwrap_or_else(|_| bail!("a reader has panicked"))?);
        }
        Ok(all)
    }
}

impl Read {
    pub(crate) fn add(&mut self, other: Self) {
        self.passes += other.passes;
        self.documents += other.documents;
        self.switches += other.switches;
        self.failed += other.failed;
        self.left_out += other.left_out;
        self.absent = self.absent.max(other.absent);
        self.older += other.older;
    }
}

async fn read(ledger: &Ledger, model: &str, ends: &AtomicBool) -> Result<Read> {
    let (client, database) = connect(ledger).await?;
    let mut reader = Reader {
        model: model.to_owned(),
        collection: database.collection(model),
        servers: ledger.servers.clone(),
        outages: (ledger.servers.outages(), Instant::now()),
        journal: ledger.journal.clone(),
        seen: HashMap::new(),
        read: Read::default(),
    };
    while !ends.load(Ordering::SeqCst) {
        reader.pass().await?;
        tokio::time::sleep(PAUSE).await;
    }
    client.shutdown().await;
    Ok(reader.read)
}

struct Reader {
    model: String,
    collection: Collection<Document>,
    servers: Servers,
    /// How many outages there were, and when that changed.
    outages: (u64, Instant),
    journal: Journal,
    /// The generation and the position of every document, as last seen.
    seen: HashMap<String, (i64, i64)>,
    read: Read,
}

impl Reader {
    /// One way through the model.
    async fn pass(&mut self) -> Result<()> {
        let (mut after, mut met) = (None::<String>, HashSet::new());
        loop {
            let answer = page(&self.collection, after.as_deref(), PAGE).await;
            let Some(page) = self.answered(answer)? else { return Ok(()) };
            for document in &page {
                self.look(document)?;
                met.insert(key(document).to_owned());
            }
            let Some(last) = page.last() else { break };
            after = Some(key(last).to_owned());
        }
        self.read.passes += 1;
        let left_out: Vec<String> = self.seen.keys().filter(|key| !met.contains(*key)).cloned().collect();
        for key in left_out {
            self.seek(&key).await?;
        }
        Ok(())
    }

    /// Asks for a document that a page left out, which DocumentDB may do while a collection is renamed.
    async fn seek(&mut self, key: &str) -> Result<()> {
        let (began, mut asked) = (Instant::now(), 0_u64);
        while began.elapsed() < ABSENT_MAX {
            let answer = self.collection.find_one(doc! {"_id": key}).await;
            let Some(found) = self.answered(answer)? else { return Ok(()) };
            asked += 1;
            if let Some(found) = found {
                self.read.left_out += 1;
                self.read.absent = self.read.absent.max(began.elapsed());
                let (before, after) = (self.seen[key], (found.get_i64("g"), found.get_i64("p")));
                let text =
                    format!("{} {key} was left out at {before:?}; {after:?} when asked {asked} times", self.model);
                self.journal.note(format_args!("{text}, after {:?}", began.elapsed()));
                return Ok(());
            }
        }
        bail!("{} {key} was there, at {:?}, and is missing", self.model, self.seen[key])
    }

    /// A document is never older than it was.
    fn look(&mut self, document: &Document) -> Result<()> {
        let (key, now) = (key(document), (document.get_i64("g")?, document.get_i64("p")?));
        self.read.documents += 1;
        if is_tombstone(document) {
            self.seen.remove(key);
            return Ok(());
        }
        if let Some(before) = self.seen.insert(key.to_owned(), now) {
            ensure!(now.0 >= before.0, "{} {key} went back from {before:?} to {now:?} (g, p)", self.model);
            ensure!(now.0 > before.0 || now.1 >= before.1, "{} {key} went back from {before:?} to {now:?}", self.model);
            self.read.switches += u64::from(now.0 > before.0);
            self.read.older += u64::from(now.1 < before.1);
        }
        Ok(())
    }

    /// The answer; nothing when there was none for a good reason.
    fn answered<T>(&mut self, answer: mongodb::error::Result<T>) -> Result<Option<T>> {
        let outages = self.servers.outages();
        if outages != self.outages.0 {
            self.outages = (outages, Instant::now());
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(_) if outages % 2 == 1 || (outages > 0 && self.outages.1.elapsed() < AFTERMATH) => {
                self.read.failed += 1;
                Ok(None)
            }
            Err(error) => bail!("{} cannot be read: {error}", self.model),
        }
    }
}
