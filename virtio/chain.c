/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/chain.h"

struct chain_cursor chain_out(const struct vq_chain *c)
{
	return (struct chain_cursor){.iov = c->out, .count = c->out_count, .left = c->out_size};
}

struct chain_cursor chain_in(const struct vq_chain *c)
{
	if (vq_broken(c->queue))
		return (struct chain_cursor){.iov = c->in};
	return (struct chain_cursor){.iov = c->in, .count = c->in_count, .left = c->in_size};
}

/* The next piece, of at most n bytes; the cursor is behind it then. n is not 0 and not over
 * c->left. */
static struct iovec next(struct chain_cursor *c, size_t n)
{
	struct iovec v;

	while (c->iov->iov_len == c->offset) {
		c->iov++;
		c->count--;
		c->offset = 0;
	}
	if (n > c->iov->iov_len - c->offset)
		n = c->iov->iov_len - c->offset;
	v = guest_slice(*c->iov, c->offset, n);
	c->offset += n;
	c->left -= n;
	return v;
}

static size_t at_most(const struct chain_cursor *c, size_t n)
{
	return n < c->left ? n : c->left;
}

size_t chain_read(struct chain_cursor *c, void *to, size_t n)
{
	size_t done = 0;

	n = at_most(c, n);
	while (done < n) {
		struct iovec v = next(c, n - done);

		guest_copy_out((uint8_t *)to + done, v);
		done += v.iov_len;
	}
	return n;
}

size_t chain_write(struct chain_cursor *c, const void *from, size_t n)
{
	size_t done = 0;

	n = at_most(c, n);
	while (done < n) {
		struct iovec v = next(c, n - done);

		guest_copy_in(v, (const uint8_t *)from + done);
		done += v.iov_len;
	}
	return n;
}

size_t chain_skip(struct chain_cursor *c, size_t n)
{
	size_t done = 0;

	n = at_most(c, n);
	while (done < n)
		done += next(c, n - done).iov_len;
	return n;
}

unsigned chain_take(struct chain_cursor *c, size_t n, struct iovec *to, unsigned room,
                    size_t *ret_size)
{
	size_t done = 0;
	unsigned count = 0;

	n = at_most(c, n);
	while (done < n && count < room) {
		to[count] = next(c, n - done);
		done += to[count++].iov_len;
	}
	*ret_size = done;
	return count;
}
