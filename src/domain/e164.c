/* E.164 numbers. Syntax only: which countries, premium ranges or lengths are allowed is a
 * policy, and lives where policies are read. */
#include "callgate/e164.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"

#define MAX_DIGITS 15
#define MIN_DIGITS 2
/* Longer than any number with its separators: past this nobody meant a number, and the
 * work on what a client sends stays bounded. */
#define MAX_LOOSE_BYTES 64

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool e164_ok(const char *s)
{
	size_t n = 0;

	if (!s || s[0] != '+' || s[1] == '0')
		return false;
	for (s++; is_digit(*s); s++)
		n++;
	return *s == '\0' && n >= MIN_DIGITS && n <= MAX_DIGITS;
}

/* The visual separators of RFC 3966, and those that word processors and web pages put
 * in their place. */
static size_t separator_bytes(const char *s)
{
	static const char *const separators[] = {
		" ", "-", ".", "(", ")", "/",
		"\xc2\xa0",                     /* no-break space            */
		"\xe2\x80\x89", "\xe2\x80\xaf", /* thin, narrow space        */
		"\xe2\x80\x8e",                 /* left-to-right mark        */
		"\xe2\x80\xaa", "\xe2\x80\xac", /* embedding and its end     */
		"\xe2\x80\x90", "\xe2\x80\x91", /* hyphens                   */
		"\xe2\x80\x93",                 /* en dash                   */
	};

	for (size_t i = 0; i < ARRAY_LEN(separators); i++)
		if (str_has_prefix(s, separators[i]))
			return strlen(separators[i]);
	return 0;
}

/* "+44 (0)20 …": the zero is dialed inside the country only. Stripping the brackets
 * would suggest another number, and somebody else's phone might ring. */
static bool has_trunk_zero(const char *s)
{
	return strstr(s, "(0)") != NULL;
}

/* What stripping visual separators makes of s; false if that is no E.164 number. */
static bool canonical(const char *s, char out[E164_SIZE])
{
	size_t n = 0;

	if (strnlen(s, MAX_LOOSE_BYTES) == MAX_LOOSE_BYTES || has_trunk_zero(s))
		return false;
	while (*s) {
		size_t skip = separator_bytes(s);

		if (skip == 0) {
			if (n == E164_SIZE - 1)
				return false;
			out[n++] = *s;
		}
		s += skip ? skip : 1;
	}
	out[n] = '\0';
	return e164_ok(out);
}

/* The first thing that is wrong, in the order a person reads. */
static const char *fault_of(const char *s)
{
	size_t n;

	if (!s || !*s)
		return "it is empty; write '+', the country code and the number";
	if (strnlen(s, MAX_LOOSE_BYTES) == MAX_LOOSE_BYTES)
		return "it is too long";
	if (s[0] != '+')
		return "it must begin with '+' and the country code";
	n = strspn(s + 1, "0123456789");
	if (s[1] == '0')
		return "a country code does not begin with 0";
	if (has_trunk_zero(s))
		return "leave out the (0) that is dialed inside the country only";
	if (s[1 + n])
		return "only digits may follow the '+'";
	return n > MAX_DIGITS ? "it has more than 15 digits" : "it has fewer than 2 digits";
}

enum err e164_check(const char *s, struct errinfo *e)
{
	char better[E164_SIZE];

	if (e164_ok(s))
		return OK;
	if (s && canonical(s, better))
		return err_set(e, ERR_INVALID, "not an E.164 number: only digits may follow the '+'"
		               "; write it as %s", better);
	return err_set(e, ERR_INVALID, "not an E.164 number: %s", fault_of(s));
}

/* A pattern has one character for each of the number: itself, N for 2-9, X for any digit. */
static bool matches(const char *s, const char *pattern)
{
	for (; *pattern; s++, pattern++) {
		if (*pattern == 'N' ? *s < '2' || *s > '9'
		    : *pattern == 'X' ? !is_digit(*s)
		    : *s != *pattern)
			return false;
	}
	return *s == '\0';
}

int e164_reserved_suffix(const char *s)
{
	static const char *const reserved[] = {
		"+1NXX55501XX",
		"+447700900XXX",
		"+441632960XXX",
	};

	for (size_t i = 0; s && i < ARRAY_LEN(reserved); i++)
		if (matches(s, reserved[i]))
			return atoi(s + strlen(s) - 4);
	return -1;
}
