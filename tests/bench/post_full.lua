-- wrk: as post.lua, with all that a request may carry: a key, metadata, a priority and its own
-- bounds. Every request has a key of its own, as those of a client that never repeats itself
-- have: each is written, none is replayed. The length stays the same here too.
local run = string.format("%04d", tonumber(os.getenv("BENCH_RUN") or "0"))
local threads = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init()
	local before = '{"projectId":"proj_bench","fromNumber":"+14155550199","toNumber":"+49'
	local after = '","dynamicVariables":{"customerName":"Jane Doe","appointment":"2026-11-20T10:30:00Z","reason":"follow-up"},' ..
		'"metadata":{"campaign":"autumn","customer":"c-102938"},"priority":"high","ringTimeoutSeconds":45,"maxDurationSeconds":300}'
	local length = #before + 8 + #run + 1 + #after

	count = 0
	head = "POST /v1/calls/outbound HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " .. os.getenv("BENCH_KEY") ..
		"\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\nIdempotency-Key: order-" .. run .. "-" .. number .. "-"
	middle = "\r\n\r\n" .. before
	tail = run .. number .. after
end

function request()
	count = count + 1
	local digits = string.sub(100000000 + (count * 61803399) % 100000000, 2)
	return head .. digits .. middle .. digits .. tail
end
