//! Changing a cluster: observe, plan, approve, execute.
