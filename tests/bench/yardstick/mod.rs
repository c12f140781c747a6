//! The same records in `SQLite`: a table with the number, the time and the fact as JSON, in WAL mode with
//! `synchronous=FULL`, which syncs each transaction as the journal syncs each append.

use std::path::Path;

use rusqlite::{Connection, params};
use tidegate::fact::Record;
use tidegate::names::Seq;
use tidegate::time::Timestamp;

/// A database with one table.
pub(crate) struct Sqlite(Connection);

/// Bytes of a record's own JSON, without number, time and chain.
pub(crate) fn payload(record: &Record) -> u64 {
    serde_json::to_vec(&record.fact).expect("it is JSON").len() as u64
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a database opens");
        let pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
                       CREATE TABLE record(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, fact TEXT NOT NULL);";
        connection.execute_batch(pragmas).expect("the table is made");
        Self(connection)
    }

    /// One transaction.
    pub(crate) fn insert(&mut self, records: &[Record]) {
        let transaction = self.0.transaction().expect("a transaction begins");
        {
            let insert = "INSERT INTO record(seq, at, fact) VALUES (?1, ?2, ?3)";
            let mut insert = transaction.prepare_cached(insert).expect("it is SQL");
            for record in records {
                let fact = serde_json::to_string(&record.fact).expect("it is JSON");
                let seq = i64::try_from(record.seq.0).expect("it is small");
                insert.execute(params![seq, record.at.as_millis(), fact]).expect("a row");
            }
        }
        transaction.commit().expect("the disk has space");
    }

    /// Moves the log into the database, as time would.
    pub(crate) fn checkpoint(&self) {
        self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    }

    /// Every row as a record, in order.
    pub(crate) fn scan(&self, each: &mut dyn FnMut(Record)) -> u64 {
        let mut select =
            self.0.prepare("SELECT seq, at, fact FROM record ORDER BY seq").expect("it is SQL");
        let mut rows = select.query([]).expect("it runs");
        let mut count = 0;
        while let Some(row) = rows.next().expect("a row") {
            let seq: i64 = row.get(0).expect("a number");
            let at: i64 = row.get(1).expect("a number");
            let fact = row.get_ref(2).and_then(|fact| Ok(fact.as_str()?)).expect("a text");
            let fact = serde_json::from_str(fact).expect("a fact");
            each(Record {
                seq: Seq(u64::try_from(seq).expect("it is positive")),
                at: Timestamp::from_millis(at),
                fact,
            });
            count += 1;
        }
        count
    }
}
