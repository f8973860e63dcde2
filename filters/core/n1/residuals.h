/* The encoder's choice of a distribution for a block's residuals. */
#ifndef N1STORE_N1_RESIDUALS_H
#define N1STORE_N1_RESIDUALS_H

#include "fit.h"

/* log2 in 1/4096; exact arithmetic only, so that every machine chooses alike. */
int32_t log2_of(double value);

/*
 * Set the block's classes, escapes and number of lanes for what y and predicted leave. Returns
 * what coding the residuals will cost, about.
 */
int64_t fit_residuals(model *m);

/* Send the residuals' own histogram if that is cheaper than `cost`. Returns the cost. */
int64_t try_histogram(model *m, int64_t cost);

#endif
