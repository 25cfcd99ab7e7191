-- wrk: GET /v1/calls/{id} over random calls that exist. Ids are BENCH_PREFIX (13 hex digits)
-- and 19 decimal ones, so that pgbench, which only has integers, can make the same: here
-- everything but the last twelve digits stands still.
local prefix = os.getenv("BENCH_PREFIX")
local calls = tonumber(os.getenv("BENCH_CALLS"))
local threads = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init()
	math.randomseed(os.time() + number)
	head = "GET /v1/calls/" .. prefix:sub(1, 8) .. "-" .. prefix:sub(9, 12) .. "-" .. prefix:sub(13) .. "100-8000-"
	tail = " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " .. os.getenv("BENCH_KEY") .. "\r\n\r\n"
end

function request()
	return head .. string.sub(1000000000000 + math.random(1, calls), 2) .. tail
end
