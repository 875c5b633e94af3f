"""What is done along coordinates: in between, by windows, by groups, without nans."""
