/* The history of an organization while it is being written: what a reader is given, and what
 * is kept from it until nothing can come before it any more. */
#include "callgate/store_lists.h"
#include "scratch.h"

static struct store *s, *writer;
static struct errinfo e;
static struct id call;

#define DO(x) assert_int_equal(OK, (x))

static void run(struct store *on, const char *text)
{
	if (pg_exec(on, text, NULL, &e))
		fail_msg("%s: %s", text, e.text);
}

/* An event of the call, `age` seconds old. */
static void write_event(struct store *on, int seq, const char *age)
{
	char id[ID_TEXT_SIZE], text[300];

	id_format(&call, id);
	snprintf(text, sizeof text, "insert into call_events (org_id, call_id, seq, kind, at)"
	         " values (1, '%s', %d, 34, clock_timestamp() - interval '%s')", id, seq, age);
	run(on, text);
}

/* The numbers of all events from *at on. */
static size_t look(struct store *on, struct feed_position *at, int *seqs)
{
	struct caller caller = { .org = 1 };
	struct call_event *events;
	enum read_outcome outcome;
	size_t n, i;
	bool more;

	sha256(KEY_TEXT, strlen(KEY_TEXT), caller.hash);
	DO(store_feed(on, &caller, false, at, 100, &events, &n, &more, &outcome, &e));
	assert_int_equal(READ_FOUND, outcome);
	assert_false(more);
	for (i = 0; i < n; i++)
		seqs[i] = events[i].seq;
	call_events_free(events, n);
	return n;
}

/* A call, whose first event is seq 0, and the place behind it. */
static struct feed_position begin(void)
{
	struct admission a;
	struct feed_position at = { 0 };
	static int n;
	char to[E164_SIZE];
	int seqs[100];

	clear_calls();
	snprintf(to, sizeof to, "+4930%08d", ++n);
	a = make_admission(to);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(db, &a));
	call = a.call_id;
	look(s, &at, seqs);
	return at;
}

static void what_commits_late_is_not_passed_over(void **state)
{
	struct feed_position at = begin();
	int seqs[100];

	(void)state;
	run(writer, "begin");
	write_event(writer, 1, "0 s");
	write_event(db, 2, "0 s");              /* later, and committed before */
	assert_int_equal(0, look(s, &at, seqs));
	run(writer, "commit");
	assert_int_equal(2, look(s, &at, seqs));
	assert_int_equal(1, seqs[0]);
	assert_int_equal(2, seqs[1]);
	assert_int_equal(0, look(s, &at, seqs));
}

static void what_was_written_before_a_writer_began_is_given_out(void **state)
{
	struct feed_position at = begin();
	int seqs[100];

	(void)state;
	write_event(db, 1, "0 s");
	run(writer, "begin");
	write_event(writer, 2, "0 s");
	assert_int_equal(1, look(s, &at, seqs));
	assert_int_equal(1, seqs[0]);
	run(writer, "rollback");
	assert_int_equal(0, look(s, &at, seqs));
}

/* A transaction that has not written yet will write a later time. One that only reads, or
 * writes elsewhere, or is over, is no writer. */
static void who_writes_no_events_holds_nothing_up(void **state)
{
	struct feed_position at = begin();
	int seqs[100];

	(void)state;
	run(writer, "begin; select count(*) from call_events; create table elsewhere (); ");
	write_event(db, 1, "0 s");
	assert_int_equal(1, look(s, &at, seqs));
	write_event(writer, 2, "0 s");
	assert_int_equal(0, look(s, &at, seqs));
	run(writer, "commit");
	assert_int_equal(1, look(s, &at, seqs));
	assert_int_equal(2, seqs[0]);
	write_event(db, 3, "0 s");              /* `writer` is idle now */
	assert_int_equal(1, look(s, &at, seqs));
	run(writer, "drop table elsewhere");
}

/* When another role's transaction began is hidden. */
static void a_writer_whose_beginning_is_hidden_holds_up_one_minute(void **state)
{
	struct store *stranger = store_new(scratch_url, "feed");
	struct feed_position at = begin();
	int seqs[100];
	char text[200];

	(void)state;
	at.at_us -= 600 * INT64_C(1000000);
	snprintf(text, sizeof text, "create role %s_r; grant pg_read_all_data, pg_write_all_data to %s_r", scratch_name, scratch_name);
	run(db, text);
	snprintf(text, sizeof text, "set session authorization %s_r", scratch_name);
	run(stranger, text);
	write_event(db, 1, "100 s");
	write_event(db, 2, "20 s");
	run(writer, "begin");
	write_event(writer, 3, "0 s");
	/* the event of acceptance, which is young, and 2 wait with 3 */
	assert_int_equal(1, look(stranger, &at, seqs));
	assert_int_equal(1, seqs[0]);
	run(writer, "commit");
	assert_int_equal(3, look(stranger, &at, seqs));
	assert_int_equal(2, seqs[0]);
	assert_int_equal(0, seqs[1]);
	assert_int_equal(3, seqs[2]);
	store_free(stranger);
	snprintf(text, sizeof text, "drop role %s_r", scratch_name);
	run(db, text);
}

/* Each look continues where the last ended, however few it takes. */
static void small_looks_see_the_same_as_a_large_one(void **state)
{
	struct feed_position from = begin(), at = from;
	struct caller caller = { .org = 1 };
	struct call_event *events;
	enum read_outcome outcome;
	int all[100], i, total;
	size_t n;
	bool more;

	(void)state;
	sha256(KEY_TEXT, strlen(KEY_TEXT), caller.hash);
	sql("insert into call_events (org_id, call_id, seq, kind, at) select 1, c.call_id, i, 34, now() - i %% 3 * interval '1 ms'"
	    " from (select call_id from calls order by call_id desc limit 1) c, generate_series(1, 30) i");
	from.at_us -= 1000000;
	at = from;
	total = (int)look(s, &from, all);
	for (i = 0, more = true; more; i++) {
		DO(store_feed(s, &caller, false, &at, 1, &events, &n, &more, &outcome, &e));
		assert_int_equal(1, n);
		assert_int_equal(all[i], events[0].seq);
		call_events_free(events, n);
	}
	assert_int_equal(total, i);
}

static size_t look_at_call(int after, int *seqs)
{
	struct caller caller = { .org = 1 };
	struct call_event *events;
	enum read_outcome outcome;
	size_t n, i;
	bool more;

	sha256(KEY_TEXT, strlen(KEY_TEXT), caller.hash);
	DO(store_call_events(s, &caller, &call, after, 100, &events, &n, &more, &outcome, &e));
	assert_int_equal(READ_FOUND, outcome);
	assert_false(more);
	for (i = 0; i < n; i++)
		seqs[i] = events[i].seq;
	call_events_free(events, n);
	return n;
}

/* "uncertain" has a higher number than the answer that comes after it. */
static void who_follows_one_call_misses_nothing_that_is_said_late(void **state)
{
	int seqs[100];

	(void)state;
	begin();
	write_event(db, 29, "0 s");
	assert_int_equal(2, look_at_call(-1, seqs));
	assert_int_equal(29, seqs[1]);
	write_event(db, 19, "0 s");
	write_event(db, 28, "0 s");
	assert_int_equal(2, look_at_call(29, seqs));
	assert_int_equal(19, seqs[0]);
	assert_int_equal(28, seqs[1]);
	assert_int_equal(0, look_at_call(28, seqs));
	/* a number that is none: nothing is passed over */
	assert_int_equal(4, look_at_call(7, seqs));
	assert_int_equal(0, seqs[0]);
	assert_int_equal(29, seqs[1]);
}

static void an_unknown_key_is_told_nothing(void **state)
{
	struct feed_position at = begin(), was = at;
	struct caller caller = { .org = 1 };
	struct call_event *events;
	enum read_outcome outcome;
	struct list_page page;
	struct call_filter f = { .states = 0 };
	struct id ids[10];
	size_t n;
	bool more, known = true;

	(void)state;
	at = (struct feed_position){ 0 };
	DO(store_feed(s, &caller, false, &at, 10, &events, &n, &more, &outcome, &e));
	assert_int_equal(READ_KEY_UNKNOWN, outcome);
	assert_int_equal(0, n);
	assert_int_equal(0, at.at_us);
	call_events_free(events, n);
	DO(store_call_events(s, &caller, &call, -1, 10, &events, &n, &more, &outcome, &e));
	assert_int_equal(READ_KEY_UNKNOWN, outcome);
	assert_int_equal(0, n);
	call_events_free(events, n);
	DO(store_calls_match(s, &caller, &f, NULL, 10, ids, &n, &page, &e));
	assert_int_equal(READ_KEY_UNKNOWN, page.outcome);
	assert_int_equal(0, n);
	DO(store_key_check(s, &caller, &known, &e));
	assert_false(known);
	assert_true(was.at_us > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_commits_late_is_not_passed_over),
		cmocka_unit_test(what_was_written_before_a_writer_began_is_given_out),
		cmocka_unit_test(who_writes_no_events_holds_nothing_up),
		cmocka_unit_test(a_writer_whose_beginning_is_hidden_holds_up_one_minute),
		cmocka_unit_test(small_looks_see_the_same_as_a_large_one),
		cmocka_unit_test(who_follows_one_call_misses_nothing_that_is_said_late),
		cmocka_unit_test(an_unknown_key_is_told_nothing),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "feed");
	writer = store_new(scratch_url, "writer");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(writer);
	store_free(s);
	scratch_close();
	return failed;
}
