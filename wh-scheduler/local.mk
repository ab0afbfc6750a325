# wh-scheduler: the hub, the loops, the publisher of routes.
