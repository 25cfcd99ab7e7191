-- wrk: GET /v1/calls/{id} over random calls that exist. Ids are BENCH_PREFIX (13 hex digits)
-- and 19 decimal ones, so that pgbench, which only has integers, can make the same.
local prefix = os.getenv("BENCH_PREFIX")
local calls = tonumber(os.getenv("BENCH_CALLS"))
local headers = { ["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY") }
local threads = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init()
	math.randomseed(os.time() + number)
end

function request()
	local id = prefix .. "1008" .. string.format("%015d", math.random(1, calls))
	return wrk.format("GET", string.format("/v1/calls/%s-%s-%s-%s-%s", id:sub(1, 8), id:sub(9, 12), id:sub(13, 16),
		id:sub(17, 20), id:sub(21)), headers)
end
