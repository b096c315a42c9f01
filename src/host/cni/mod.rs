//! CNI: plugins executed. The only place that knows their protocol.
