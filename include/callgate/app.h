/* The program: its commands, and how the rooms are put together when it serves. */
#ifndef CALLGATE_APP_H
#define CALLGATE_APP_H

/* What a command ends with, and the process with it. */
enum app_exit {
	APP_OK = 0,
	APP_FAILED = 1,         /* it was understood and did not work out */
	APP_USAGE = 2,          /* the command line or a setting is wrong */
};

int app_main(int argc, char **argv);

#endif
