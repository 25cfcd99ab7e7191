"""A LiveKit that is not one: the server API that callgate uses, answering as livekit-server and
livekit-sip answer, and telephones that behave as they are told.

    http11     HTTP/1.1 on asyncio: requests in, answers out, connections cut on demand
    proto      proto3 JSON both ways; what a message may hold
    messages   the messages, field by field
    token      access tokens: made for webhooks, verified for requests
    errors     the table of refusals, and what each is called
    house      rooms, participants, agents
    phone      SIP legs: one life each, from INVITE to its end
    hooks      webhooks out, signed, and every way in which they go wrong
    rules      what a test wants to happen to which request
    twirp      the routes
    control    the tests' own door: orders in, ledgers out
    __main__   puts it together

It complains (GET /complaints at the control door) about everything that callgate should not
have sent, also where the real server would have swallowed it in silence."""
