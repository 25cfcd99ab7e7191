/* GET /problems/{code}: what an error means, at the address that its `type` names. */
#include <string.h>

#include "callgate/jsonw.h"
#include "callgate/problem.h"
#include "callgate/text.h"
#include "errors.h"
#include "handlers.h"

#define CODE_SIZE 64

/* The codes of http are told beside ours; where both have one, it means the same. */
static bool find(const char *code, struct api_error_info *out)
{
	const struct http_refusal *refusal = http_refusal_find(code);

	for (int e = API_OK + 1; e < API_ERROR_COUNT; e++) {
		*out = *api_error_info((enum api_error)e);
		if (str_eq(out->code, code))
			return true;
	}
	if (refusal)
		*out = (struct api_error_info){ refusal->status, refusal->code, refusal->text };
	return refusal != NULL;
}

static void write(struct buf *b, const struct api_error_info *info)
{
	buf_char(b, '{');
	problem_members(b, info->status, info->code);
	JSONW_LIT(b, ",\"code\":");
	jsonw_str(b, info->code);
	JSONW_LIT(b, ",\"detail\":");
	jsonw_str(b, info->text);
	buf_char(b, '}');
}

void problems_get(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct http_reply r = { .status = 200 };
	struct api_error_info info;
	char code[CODE_SIZE];
	struct buf b;

	(void)a;
	if (args->id_len < sizeof code) {
		memcpy(code, args->id, args->id_len);
		code[args->id_len] = '\0';
	}
	if (args->id_len >= sizeof code || !find(code, &info)) {
		error_reply(rq, API_ROUTE_UNKNOWN);
		return;
	}
	buf_init(&b, 1024);
	write(&b, &info);
	r.body = buf_take(&b, &r.body_len);
	http_reply_header(&r, "Cache-Control", "max-age=3600");
	http_reply(rq, &r);
}
