//! stub
use crate::node::Node;

/// The configuration as one tree, merged and expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    root: Node,
}

impl Document {
    /// From a tree whose root is a map.
    pub fn new(root: Node) -> Self {
        Self { root }
    }

    /// The whole tree.
    pub fn root(&self) -> &Node {
        &self.root
    }
}
