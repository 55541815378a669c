"""A site to look at: a cloud, an edge and simulated devices on this machine, for `appliance demo`.

Everything goes the way it goes in earnest: cloud and edge are processes of this same executable,
devices speak MQTT and HTTP to real sockets, and the line between edge and cloud is a real one that
can be cut. The bench in tests/bench stands on the same site.
"""
