//! A topology as text of the grammar, or, when the grammar has no words for it, as an object; read back through the same rules
//! that made it.

use crate::node::NumaNode;
use crate::topology::{Topology, TopologyError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Everything that is said of a machine that is not plain.
#[derive(Serialize, Deserialize)]
struct Parts {
    numa_nodes: u32,
    llcs: u32,
    cores_per_llc: u32,
    threads_per_core: u32,
    nodes: Option<Vec<NumaNode>>,
    distances: Option<Vec<Vec<u8>>>,
    llc_cores: Option<Vec<u32>>,
    #[serde(default)]
    offline: Vec<u32>,
    #[serde(default)]
    without_l3: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(String),
    Full(Parts),
}

impl Parts {
    fn build(self) -> Result<Topology, TopologyError> {
        // Declared nodes are counted by themselves; some of them may hold no cache.
        let numa_nodes = if self.nodes.is_some() { 1 } else { self.numa_nodes };
        let mut topology = Topology::new(numa_nodes, self.llcs, self.cores_per_llc, self.threads_per_core)?;
        if let Some(nodes) = self.nodes {
            topology = topology.with_nodes(nodes)?;
        }
        if let Some(cores) = self.llc_cores {
            topology = topology.with_llc_cores(cores)?;
        }
        if self.without_l3 {
            topology = topology.without_l3();
        }
        topology = topology.with_offline_cpus(self.offline)?;
        match self.distances {
            Some(distances) => topology.with_distances(distances),
            None => Ok(topology),
        }
    }
}

impl Serialize for Topology {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_plain() {
            return serializer.collect_str(self);
        }
        Parts {
            numa_nodes: self.numa_nodes,
            llcs: self.llcs,
            cores_per_llc: self.cores_per_llc,
            threads_per_core: self.threads_per_core,
            nodes: self.nodes.clone(),
            distances: self.distances.clone(),
            llc_cores: self.llc_cores.clone(),
            offline: self.offline.clone(),
            without_l3: self.without_l3,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Topology {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Plain(text) => text.parse().map_err(D::Error::custom),
            Form::Full(parts) => parts.build().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{oddities, presets};

    #[test]
    fn every_shape_comes_back_as_it_went() {
        let odd = oddities().unwrap();
        for shape in presets().iter().map(|p| &p.topology).chain(odd.iter().map(|o| &o.topology)) {
            let text = serde_json::to_string(shape).unwrap();
            assert_eq!(&serde_json::from_str::<Topology>(&text).unwrap(), shape, "{text}");
            assert_eq!(text.starts_with('"'), shape.is_plain());
        }
    }

    #[test]
    fn an_object_that_breaks_the_rules_is_refused() {
        let text = r#"{"numa_nodes":1,"llcs":2,"cores_per_llc":4,"threads_per_core":1,"llc_cores":[1]}"#;
        assert!(serde_json::from_str::<Topology>(text).unwrap_err().to_string().contains("each of 2 caches"));
    }
}
