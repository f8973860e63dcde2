/* The encoder's choice of a reference: which channel, and the taps of its echo. */
#ifndef N1STORE_N1_REFER_H
#define N1STORE_N1_REFER_H

#include "choose.h"

/*
 * Keep what a channel's own predictor leaves of it, c->best being its model, for the channels behind.
 */
void keep_residuals(chooser *c, int channel, int n);

/* How many channels before this one is one that has the same samples; 0 if none has. */
int find_same(const chooser *c, const int16_t *planes, int channel, int n);

/*
 * Find the channel before that helps to predict this one most, whose residuals are kept and whose
 * model c->best is begun. Sets c->other. Returns 0 if none is worth a trial.
 */
int find_reference(chooser *c, const int16_t *planes, int channel, int n);

#endif
