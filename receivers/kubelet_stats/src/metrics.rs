//! What each metric is: this table holds names, units and defaults, and nothing else does.

/// What a metric's points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A present value.
    Gauge,
    /// A present amount that can be added up.
    UpDown,
    /// A sum since something began.
    Counter,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) shape: Shape,
    /// Whether it is reported unless the user says otherwise.
    pub(crate) on: bool,
}

macro_rules! metrics {
    ($($shape:ident $on:literal $name:literal $unit:literal $description:literal)*) => {
        /// Every metric.
        pub(crate) const ALL: &[Definition] = &[$(Definition {
            name: $name,
            unit: $unit,
            description: $description,
            shape: Shape::$shape,
            on: $on,
        }),*];
    };
}

metrics! {
    Counter true "container.cpu.time" "s" "CPU time that the container has used"
    Gauge true "container.cpu.usage" "{cpu}" "CPUs that the container uses, averaged over the kubelet's sampling window"
    Gauge true "container.filesystem.available" "By" "Bytes free on the file system of the container's root"
    Gauge true "container.filesystem.capacity" "By" "Size of the file system of the container's root"
    Gauge true "container.filesystem.usage" "By" "Bytes that the container's root takes"
    Gauge true "container.memory.available" "By" "Memory that the container may still use"
    Gauge true "container.memory.major_page_faults" "1" "Page faults of the container that had to read"
    Gauge true "container.memory.page_faults" "1" "Page faults of the container"
    Gauge true "container.memory.rss" "By" "Anonymous memory of the container"
    Gauge true "container.memory.usage" "By" "Memory of the container, page cache included"
    Gauge true "container.memory.working_set" "By" "Memory of the container that cannot be taken back easily"
    Counter false "container.uptime" "s" "Time since the container started"
    Gauge false "k8s.container.cpu.node.utilization" "1" "CPU use of the container as a ratio of its node's capacity"
    Gauge false "k8s.container.cpu_limit_utilization" "1" "CPU use of the container as a ratio of its limit"
    Gauge false "k8s.container.cpu_request_utilization" "1" "CPU use of the container as a ratio of its request"
    UpDown false "k8s.container.ephemeral_storage.usage" "By" "Ephemeral storage that the container takes, by file system"
    Gauge false "k8s.container.memory.node.utilization" "1" "Memory use of the container as a ratio of its node's capacity"
    Gauge false "k8s.container.memory_limit_utilization" "1" "Memory use of the container as a ratio of its limit"
    Gauge false "k8s.container.memory_request_utilization" "1" "Memory use of the container as a ratio of its request"
    Counter true "k8s.node.cpu.time" "s" "CPU time that the node has used"
    Gauge true "k8s.node.cpu.usage" "{cpu}" "CPUs that the node uses, averaged over the kubelet's sampling window"
    Gauge true "k8s.node.filesystem.available" "By" "Bytes free on the node's root file system"
    Gauge true "k8s.node.filesystem.capacity" "By" "Size of the node's root file system"
    UpDown false "k8s.node.filesystem.inode.count" "{inode}" "Inodes that the node's root file system has"
    UpDown false "k8s.node.filesystem.inode.free" "{inode}" "Inodes that are free in the node's root file system"
    Gauge true "k8s.node.filesystem.usage" "By" "Bytes used on the node's root file system"
    Gauge true "k8s.node.memory.available" "By" "Memory that is free for use on the node"
    Gauge true "k8s.node.memory.major_page_faults" "1" "Page faults of the node that had to read"
    Gauge true "k8s.node.memory.page_faults" "1" "Page faults of the node"
    Gauge true "k8s.node.memory.rss" "By" "Anonymous memory of the node"
    Gauge true "k8s.node.memory.usage" "By" "Memory of the node, page cache included"
    Gauge true "k8s.node.memory.working_set" "By" "Memory of the node that cannot be taken back easily"
    Counter true "k8s.node.network.errors" "1" "Network errors of the node"
    Counter true "k8s.node.network.io" "By" "Network traffic of the node"
    UpDown false "k8s.node.pid.limit" "{thread}" "Processes and threads that the node may have"
    UpDown false "k8s.node.pid.usage" "{thread}" "Processes and threads that the node has"
    Counter false "k8s.node.system_container.cpu.time" "s" "CPU time that a system container (kubelet, runtime, pods) has used"
    Gauge false "k8s.node.system_container.cpu.usage" "{cpu}" "CPUs that a system container uses, averaged over the kubelet's sampling window"
    Gauge false "k8s.node.system_container.memory.usage" "By" "Memory of a system container, page cache included"
    Gauge false "k8s.node.system_container.memory.working_set" "By" "Memory of a system container that cannot be taken back easily"
    Counter false "k8s.node.uptime" "s" "Time since the node started"
    Gauge false "k8s.pod.cpu.node.utilization" "1" "CPU use of the pod as a ratio of its node's capacity"
    Counter true "k8s.pod.cpu.time" "s" "CPU time that the pod has used"
    Gauge true "k8s.pod.cpu.usage" "{cpu}" "CPUs that the pod uses, averaged over the kubelet's sampling window"
    Gauge false "k8s.pod.cpu_limit_utilization" "1" "CPU use of the pod as a ratio of its limits, when every container has one"
    Gauge false "k8s.pod.cpu_request_utilization" "1" "CPU use of the pod as a ratio of its requests, when every container has one"
    Gauge true "k8s.pod.filesystem.available" "By" "Bytes free on the file system of the pod's ephemeral storage"
    Gauge true "k8s.pod.filesystem.capacity" "By" "Size of the file system of the pod's ephemeral storage"
    Gauge true "k8s.pod.filesystem.usage" "By" "Bytes that the pod's ephemeral storage takes"
    Gauge true "k8s.pod.memory.available" "By" "Memory that the pod may still use"
    Gauge true "k8s.pod.memory.major_page_faults" "1" "Page faults of the pod that had to read"
    Gauge false "k8s.pod.memory.node.utilization" "1" "Memory use of the pod as a ratio of its node's capacity"
    Gauge true "k8s.pod.memory.page_faults" "1" "Page faults of the pod"
    Gauge true "k8s.pod.memory.rss" "By" "Anonymous memory of the pod"
    Gauge true "k8s.pod.memory.usage" "By" "Memory of the pod, page cache included"
    Gauge true "k8s.pod.memory.working_set" "By" "Memory of the pod that cannot be taken back easily"
    Gauge false "k8s.pod.memory_limit_utilization" "1" "Memory use of the pod as a ratio of its limits, when every container has one"
    Gauge false "k8s.pod.memory_request_utilization" "1" "Memory use of the pod as a ratio of its requests, when every container has one"
    Counter true "k8s.pod.network.errors" "1" "Network errors of the pod"
    Counter true "k8s.pod.network.io" "By" "Network traffic of the pod"
    Counter false "k8s.pod.uptime" "s" "Time since the pod started"
    UpDown false "k8s.pod.volume.usage" "By" "Bytes that the pod uses in the volume"
    Gauge true "k8s.volume.available" "By" "Bytes free in the volume"
    Gauge true "k8s.volume.capacity" "By" "Size of the volume"
    Gauge true "k8s.volume.inodes" "1" "Inodes that the volume's file system has"
    Gauge true "k8s.volume.inodes.free" "1" "Inodes that are free in the volume's file system"
    Gauge true "k8s.volume.inodes.used" "1" "Inodes that the volume uses; not always what is not free, since volumes may share a file system"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
