//! Collections that are read once and kept for long take no more room than what is in them.
//!
//! Serde fills a map one key after the other, which leaves the nodes of a [`BTreeMap`] little more than half full, and
//! a list by doubling, which leaves three places of four empty where there is one item. With 100,000 tags that is a
//! third of the whole memory. For fields: `#[serde(deserialize_with = "dense::map")]`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads a map into full nodes; of several equal keys the last counts, as serde has it.
pub(crate) fn map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    struct Pairs<K, V>(PhantomData<(K, V)>);
    impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
        type Value = BTreeMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs.into_iter().collect()) // a whole list at once is packed
        }
    }
    deserializer.deserialize_map(Pairs(PhantomData))
}

/// Reads a list into exactly the room that it needs.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let Some(first) = seq.next_element()? else { return Ok(Vec::new()) };
            let mut items = Vec::with_capacity(1);
            items.push(first);
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            items.shrink_to_fit();
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Both {
        #[serde(deserialize_with = "super::map")]
        map: std::collections::BTreeMap<String, u32>,
        #[serde(deserialize_with = "super::list")]
        list: Vec<u64>,
    }

    fn read(text: &str) -> Both {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_list_takes_exactly_the_room_of_its_items() {
        for text in ["[]", "[1]", "[1,2]", "[1,2,3,4,5]"] {
            let both = read(&format!(r#"{{"map":{{}},"list":{text}}}"#));
            assert_eq!(both.list, (1..=both.list.len() as u64).collect::<Vec<_>>());
            assert_eq!(both.list.capacity(), both.list.len(), "{text}");
        }
    }

    #[test]
    fn a_map_reads_as_any_map_does() {
        let both = read(r#"{"map":{"b":2,"a":1,"b":3},"list":[]}"#);
        assert_eq!(both.map, [("a".to_owned(), 1), ("b".to_owned(), 3)].into());
    }
}
