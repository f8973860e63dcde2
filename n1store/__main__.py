"""`python -m n1store …` is `n1store …`."""

from n1store.cli.commands import main

if __name__ == "__main__":
    main()
