/* What the codecs' functions return where they do not return a size. */
#ifndef N1STORE_ERRORS_H
#define N1STORE_ERRORS_H

typedef enum {
    N1_OK = 0,
    N1_ERROR_ARGUMENT = -1, /* an argument is out of its range */
    N1_ERROR_MEMORY = -2,   /* working memory could not be had */
    N1_ERROR_ROOM = -3,     /* dst is too small */
    N1_ERROR_FORMAT = -4,   /* not a payload of this codec */
    N1_ERROR_VERSION = -5,  /* a payload of a newer version of the format */
    N1_ERROR_CORRUPT = -6,  /* damaged or cut off */
    N1_ERROR_WIDTHS = -7,   /* encoded with a table of code widths that was not given */
    N1_ERROR_PATH = -8,     /* this machine cannot run the path that was asked for */
    N1_ERROR_OLD = -9,      /* a payload of version 1, which was never released */
} n1_error;

#endif
